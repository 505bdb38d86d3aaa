"""JSON with what .NET's reader lets pass."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.relaxed_json import loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab/*",\\}] \n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a/*",}'), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_plain_json_is_read_as_it_is(value: object) -> None:
    assert loads(json.dumps(value, indent=1)) == value


def test_comments_and_last_commas_are_passed_over_but_not_within_strings() -> None:
    text = """{ // the port
        "url": "http://x/*y*/", /* two
        lines, */ "list": [1, 2, /* none */ ], // } "no": "entry"
        "more": 3, // }
        "last": 4
    }"""
    assert loads(text) == {"url": "http://x/*y*/", "list": [1, 2], "more": 3, "last": 4}


@pytest.mark.parametrize("text", ["", "{", '{"a" 1}', "/* open", '{"a": 1,, }'])
def test_what_is_no_json_even_so_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        loads(text)
