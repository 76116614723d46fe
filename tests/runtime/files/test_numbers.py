"""Numbers in texts of users: what Python reads besides them is refused."""

import pytest

from cldm_runtime.files.numbers import finite_number, whole_number


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("+7", 7), ("-12", -12), (" 008\n", 8), (str(2**64), 2**64)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole_number(text) == value


@pytest.mark.parametrize("text", ["1_0", "_1", "1.0", "1e3", "٣", "²", "0x10", "", " ", "1 0", "--1", "nan", "9" * 401])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        whole_number(text)


@pytest.mark.parametrize(("text", "value"), [("0.1", 0.1), (".5", 0.5), ("5.", 5.0), ("-1.5E-01", -0.15),
                                             ("+2", 2.0), ("\u00a00.25 ", 0.25), ("1e-400", 0.0)])
def test_finite_numbers(text: str, value: float) -> None:
    assert finite_number(text) == value


@pytest.mark.parametrize(("text", "what"), [
    ("nan", "finite number"), ("-Inf", "finite number"), ("infinity", "finite number"), ("1e400", "finite number"),
    ("0_1", "number"), ("0,1", "number"), ("٠.٥", "number"), ("1e", "number"), (".", "number"), ("", "number"),
    ("0x1p3", "number"), ("1 2", "number"), ("- 1", "number")])
def test_what_is_no_finite_number(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"^is not a {what}$"):
        finite_number(text)
