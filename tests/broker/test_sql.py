"""The SQL of rules, by itself. Source: "Subscription rule SQL filter syntax" of Azure Service Bus."""

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.broker.rules.sql_action import REMOVED, parse_action
from localcloud.broker.rules.sql_expression import Properties, parse_condition
from localcloud.broker.rules.sql_tokens import KEYWORDS
from localcloud.broker.rules.sql_values import EvaluationError, like
from localcloud.expressions import ExpressionError

MESSAGE = Properties(
    {"label": "bus stop", "to": "Store5"},
    {"n": 7, "half": 0.5, "text": "it's 50%", "yes": True, "nothing": None, "odd name": 1, "a]b": 2, "größe": 3},
)


def truth(sql: str) -> bool | None:
    return parse_condition(sql)(MESSAGE)


@pytest.mark.parametrize(
    "sql",
    [
        "1=1",
        "n = 7 AND N <> 8 AND n != 8 AND n < 8 AND n <= 7 AND n > 6.5 AND n >= 7.0",
        "user.n = 7 AND sys.Label LIKE '%bus%' AND sys.to = 'Store5'",
        "text = 'it''s 50%'",
        "text LIKE '%50!%' ESCAPE '!'",
        "text NOT LIKE 'it_s'",
        "yes = TRUE AND yes <> false",
        "n IN (1, 7) AND n NOT IN (1, 2) AND sys.To IN ('Store5', 'Store6')",
        "EXISTS(n) AND NOT EXISTS(absent) AND EXISTS(nothing) AND EXISTS (sys.Label) AND NOT EXISTS(sys.ReplyTo)",
        "absent IS NULL AND nothing IS NULL AND n IS NOT NULL",
        "1 + 2 * 3 = n AND (1 + 2) * 3 = 9 AND -n + 7 = 0 AND - - n = +7",
        "n / 2 = 3 AND -n / 2 = -3 AND n % 4 = 3 AND -n % 4 = -3 AND n / 2.0 = 3.5 AND 101.5E1 = 1015",
        "'a' + 'b' = 'ab' AND 'a' < 'b'",
        '[odd name] = 1 AND "odd name" = 1 AND [a]]b] = 2 AND größe = 3',
        "property('n') = 7 AND p('N') = 7",
        "newid() IS NULL OR (((n = 7)))",
        "n = 8 OR n = 9 OR n = 7",
        "NOT n = 8 AND NOT NOT n = 7",
        "1 = 2 AND 1 = 2 OR 1 = 1",
        "1.0 / 0.0 > 1E308 AND -1.0 / 0 < -1E308",
    ],
)
def test_conditions_hold_as_documented(sql: str) -> None:
    assert truth(sql) is True


@pytest.mark.parametrize(
    "sql",
    [
        "absent = 1",
        "NOT absent = 1",
        "absent + 1 = 1",
        "-absent = 1",
        "absent LIKE 'a'",
        "absent NOT LIKE 'a'",
        "absent IN (1)",
        "absent NOT IN (1)",
        "nothing = NULL",
        "absent = 1 AND 1 = 1",
        "absent = 1 OR 1 = 2",
    ],
)
def test_what_depends_on_an_unknown_value_is_unknown(sql: str) -> None:
    assert truth(sql) is None


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("n = 'seven'", "Operator '=' cannot be applied to a number and a text"),
        ("yes > FALSE", "Operator '>' cannot be applied to a truth and a truth"),
        ("n LIKE 'a'", "Operator 'LIKE' cannot be applied to a number and a text"),
        ("text * 2 = 1", r"Operator '\*' cannot be applied to a text and a number"),
        ("text - 'a' = 1", "Operator '-' cannot be applied to a text and a text"),
        ("-text = 1", "cannot be applied to a number and a text"),
        ("n / 0 = 1", "division by zero"),
        ("n % 0 = 1", "division by zero"),
        ("9223372036854775807 + 1 > 0", "more than 64 bits"),
        ("text LIKE 'it!' ESCAPE '!'", "ends with its escape character"),
        ("n = 'seven' OR 1 = 1", "cannot be applied"),
    ],
)
def test_what_has_no_meaning_is_an_error_of_the_evaluation(sql: str, reason: str) -> None:
    """Of this message: another one may have other values."""
    with pytest.raises(EvaluationError, match=reason):
        truth(sql)


def test_operands_that_are_not_needed_cannot_fail() -> None:
    """Nor do the values of a list that are of another kind."""
    assert truth("1 = 1 OR n = 'seven'") is True
    assert truth("n IN ('seven', 7)") is True
    assert truth("n IN ('seven', 8)") is None


@pytest.mark.parametrize(("sql", "expected"), [("absent = 1 AND 1 = 2", False), ("absent = 1 OR 1 = 1", True)])
def test_an_unknown_operand_does_not_matter_where_the_other_decides(sql: str, expected: bool) -> None:
    assert truth(sql) is expected


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "a property is expected, not the end, at character 1"),
        ("n", "a condition is expected, not a value, at character 1"),
        ("n = 1 AND n", "a condition is expected, not a value, at character 11"),
        ("(n = 1) = 2", "a value is expected, not a condition, at character 2"),
        ("n = 1 n", "'n' is not expected at character 7"),
        ("n = @p", "'@' is not supported at character 5"),
        ("sys.Size = 1", "no system property 'Size' that a sender sets at character 5"),
        ("app.n = 1", "before a '.' comes 'sys' or 'user'"),
        ("n NOT 1", "behind NOT comes IN or LIKE, not 1, at character 7"),
        ("1 IS NULL", "only of a property it can be asked"),
        ("n + 1 IS NULL", "only of a property it can be asked"),
        ("n IN 1", r"'\(' is expected, not 1, at character 6"),
        ("n LIKE 'a' ESCAPE 'ab'", "behind ESCAPE comes one character in quotes at character 19"),
        ("upper(n) = 'A'", "there is no function 'upper' at character 1"),
        ("n = 9223372036854775808", "is out of range at character 5"),
        ("n = 1e999", "is out of range"),
        ("(" * 100 + "n = 1" + ")" * 100, "nested deeper than 32 at character 33"),
        ("n = 1" + " " * 1020, "more than 1024 characters"),
    ],
)
def test_what_is_outside_the_subset_is_refused_with_its_place(sql: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        parse_condition(sql)


def test_an_action_sets_and_removes_properties_one_after_the_other() -> None:
    """A later statement sees what an earlier one did; separators are optional."""
    action = parse_action("SET n = n + 1; SET twice = n * 2, REMOVE n SET gone = n SET [To] = sys.To;")
    assert action(MESSAGE) == ({"n": REMOVED, "twice": 16, "gone": None, "To": "Store5"}, {})


def test_an_action_sets_and_removes_system_properties() -> None:
    """With texts; a later statement sees them too. What identifies a message can be replaced, not removed."""
    action = parse_action("SET sys.Label = 'to ' + sys.To REMOVE sys.To SET was = sys.To, SET [label] = sys.label")
    assert action(MESSAGE) == ({"was": None, "label": "to Store5"}, {"label": "to Store5", "to": None})
    for sql in ("SET sys.Label = n", "SET sys.Label = absent"):
        with pytest.raises(EvaluationError, match=r"sys\.Label takes a text only"):
            parse_action(sql)(MESSAGE)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "SET or REMOVE is expected, not the end, at character 1"),
        ("SET a 1", "'=' is expected, not 1, at character 7"),
        ("SET sys.PartitionKey = 'x'", "sys.PartitionKey cannot be changed so at character 5"),
        ("REMOVE sys.MessageId", "sys.MessageId cannot be changed so at character 8"),
        ("SET sys.Size = '1'", "there is no system property 'Size'"),
        ("REMOVE 1", "a property is expected"),
        ("SET a = 1;" * 33, "more than 32 statements"),
    ],
)
def test_what_is_no_action_is_refused_with_its_place(sql: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        parse_action(sql)


_WORDS = st.sampled_from(
    [*"n absent sys.Label 'a' 1 2.5 p newid".split(" "), *"(),=<>+-*/%", "<>", *sorted(KEYWORDS)]  # noqa: SIM905 - short
)


@given(st.one_of(st.text(), st.lists(_WORDS, max_size=30).map(" ".join)))
def test_any_text_is_a_condition_or_is_refused(sql: str) -> None:
    """And a condition has one of three values, if its operators are defined for theirs."""
    try:
        condition = parse_condition(sql)
    except ExpressionError:
        return
    with suppress(EvaluationError):
        assert condition(MESSAGE) in (True, False, None)


def test_the_longest_expressions_are_evaluated() -> None:
    """However many operators they have."""
    assert truth("1" + "+1" * 508 + "=509") is True
    assert truth("NOT " * 250 + "n = 7") is True
    assert parse_action("SET a=" + "-" * 1000 + "1")(MESSAGE).user == {"a": 1}


def test_texts_do_not_grow_for_ever() -> None:
    """What is longer than a property may be is an error."""
    assert parse_action("SET a = 'x'" + "SET a = a + a;" * 15)(MESSAGE).user == {"a": "x" * 2**15}
    with pytest.raises(EvaluationError, match="more than 32768 characters"):
        parse_action("SET a = 'x'" + "SET a = a + a;" * 16)(MESSAGE)


_LEAVES = st.sampled_from([("1 = 1", True), ("1 = 2", False), ("absent = 1", None)])


def _combined(inner: Any) -> Any:
    def model(word: str, left: Any, right: Any) -> Any:
        values = (left[1], right[1])
        decisive = word == "OR"
        result = decisive if decisive in values else None if None in values else not decisive
        return f"({left[0]} {word} {right[0]})", result

    negated = inner.map(lambda one: (f"NOT ({one[0]})", None if one[1] is None else not one[1]))
    return st.one_of(negated, st.builds(model, st.sampled_from(["AND", "OR"]), inner, inner))


@given(st.recursive(_LEAVES, _combined, max_leaves=12))
def test_logic_has_three_values(case: tuple[str, bool | None]) -> None:
    """By the documented tables."""
    assert truth(case[0]) is case[1]


@given(st.text("ab%_", max_size=12), st.text("ab%_", max_size=8))
def test_patterns_match_as_regular_expressions_would(value: str, pattern: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(character, character) for character in pattern)
    assert like(value, pattern, None) is bool(re.fullmatch(expression, value))
