"""core/sealed.py: keys as they are written, and what is a sealed value."""

import base64

import pytest

from taskyard.core.sealed import EncryptionKeys, key_of, parse_keys

ONE, OTHER = (base64.b64encode(byte * 32).decode() for byte in (b"1", b"2"))


def test_the_first_key_closes_and_all_open() -> None:
    """They are told apart by their ids."""
    keys = parse_keys(f"k2:{OTHER}, k1:{ONE}")
    assert keys.active == "k2"
    assert keys.secrets == {"k2": b"2" * 32, "k1": b"1" * 32}


def test_plain_in_the_first_place_closes_nothing() -> None:
    """So a deployment can leave encryption again and still read what there is."""
    assert parse_keys(f"plain,k1:{ONE}") == EncryptionKeys(secrets={"k1": b"1" * 32})
    assert parse_keys("") == EncryptionKeys()


@pytest.mark.parametrize(
    "text",
    [
        ONE,  # no id
        f"k1:{ONE},k1:{OTHER}",
        f"K1:{ONE}",
        f"plain:{ONE}",
        "k1:hunter2",
        f"k1:{ONE[:-4]}",
        f"k1:{ONE}{ONE}",
    ],
)
def test_a_faulty_key_is_named_by_its_number_and_never_shown(text: str) -> None:
    """Who reads the sentence may not read the key."""
    with pytest.raises(ValueError, match="as number") as caught:
        parse_keys(text)
    assert "hunter2" not in str(caught.value)
    assert ONE[:8] not in str(caught.value)


def test_a_ring_of_keys_does_not_show_them() -> None:
    """Neither does the object that holds it."""
    assert "111" not in repr(parse_keys(f"k1:{ONE}"))


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"$sealed": "1.k1.AAAA"}, "k1"),
        ({"code": "x", "$sealed": "1.k1.AAAA"}, "k1"),
        ({"$sealed": "9.k1.AAAA"}, ""),
        ({"$sealed": False, "value": 1}, None),
        ({"sealed": "1.k1.AAAA"}, None),
        ("1.k1.AAAA", None),
        (None, None),
    ],
)
def test_the_key_that_sealed_a_value_is_known_without_it(value: object, key: str | None) -> None:
    """What is plain has none."""
    assert key_of(value) == key
