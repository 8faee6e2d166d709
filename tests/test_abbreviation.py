"""Long lists in messages show their beginning and count the rest."""

from trainstack.abbreviation import abbreviated


def test_a_short_list_is_shown_whole():
    assert abbreviated(["a", "b"], 2) == "a, b"
    assert abbreviated([]) == ""


def test_a_long_list_counts_its_rest():
    assert abbreviated(list("abcd"), 2) == "a, b and 2 more"


def test_what_has_no_name_counts_too():
    assert abbreviated(["a"], unnamed=3) == "a and 3 more"


def test_another_separator_stands_before_the_count():
    assert abbreviated(["a, b", "c", "d"], 2, separator="; ") == "a, b; c; and 1 more"
