"""MQTT 3.1.1 without I/O: packets, their decoding and their encoding, for either side."""
