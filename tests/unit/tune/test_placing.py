"""A prompt behind a question: taken apart, and the same when put together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_lm import INST, SPACED, TEMPLATE, metaspace, tokenizer

from poise.errors import ConfigError
from poise.models.turns import prompt_ids
from poise.tune.labels import Label
from poise.tune.placing import messages, pieces, placed


def test_the_parts_are_the_whole():
    words = tokenizer()
    found = placed(words, "What is 3 + 4?", "Think first.")
    assert list(found.whole) == prompt_ids(words, messages("What is 3 + 4?", "Think first."))
    assert words.decode(found.prompt) == "Think first."
    assert words.decode(found.before).endswith("What is 3 + 4?\n")
    assert words.decode(found.behind).endswith("assistant\n")


def test_a_question_may_end_with_a_line_break():
    """Two of them are one token where nothing follows, and two where a word does."""
    words = tokenizer(("Ċ", "Ċ"))
    assert len(words("3?\n\n").input_ids) < len(words("3?\n\nThink").input_ids) - len("Think")
    found = placed(words, "What is 3 + 4?\n", "Think first.")
    assert list(found.whole) == prompt_ids(words, messages("What is 3 + 4?\n", "Think first."))
    assert words.decode(found.prompt) == "Think first."
    assert words.decode(found.before).endswith("What is 3 + 4?\n\n")


def test_a_prompt_that_stands_in_the_question_too_is_found_at_the_end():
    words = tokenizer()
    found = placed(words, "Think first. What?", "Think first.")
    assert words.decode(found.before).endswith("Think first. What?\n")


@pytest.mark.parametrize("template", [TEMPLATE, INST], ids=["turns", "inst"])
@pytest.mark.parametrize("how", SPACED)
def test_a_space_before_the_first_word_of_all_is_none_before_the_prompt(how, template):
    """Read by itself, the prompt is other tokens than in its turn."""
    words = metaspace(how, template)
    found = placed(words, "3 + 4?", "Think first.")
    assert list(found.whole) == prompt_ids(words, messages("3 + 4?", "Think first."))
    assert words.convert_ids_to_tokens(found.prompt) == ["Think", "▁f", *"irst."]
    assert words.convert_ids_to_tokens(words("Think", add_special_tokens=False).input_ids) == ["▁Think"]
    assert words.decode(found.before).endswith("3 + 4?\n")
    assert pieces(words, found.prompt) == ["Think", " f", *"irst."]


@settings(max_examples=30)
@given(
    st.sampled_from(SPACED),
    st.text("aTh ink?\n", min_size=1, max_size=8).filter(str.strip),
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="▁"), min_size=1, max_size=6),
)
def test_the_parts_are_the_whole_whatever_is_asked(how, question, prompt):
    for words in (metaspace(how), tokenizer()):
        found = placed(words, question, prompt)
        assert list(found.whole) == prompt_ids(words, messages(question, prompt))
        assert words.decode(found.prompt) == prompt


@pytest.mark.parametrize(
    "template", [TEMPLATE, "{{ messages[0]['content'] }}</s>\n<|assistant|>\n"], ids=["special", "plain"]
)
@pytest.mark.parametrize("prompt", ["assistant", "<|assistant|>", "s"])
def test_a_prompt_that_stands_in_the_header_of_a_turn_too_is_found_behind_the_question(template, prompt):
    words = tokenizer()
    words.chat_template = template
    found = placed(words, "3?", prompt)
    assert words.decode(found.before).endswith("3?\n")
    assert words.decode(found.prompt) == prompt
    assert words.decode(found.behind).startswith("</s>\n")


def test_a_question_that_the_template_strips_is_found():
    found = placed(metaspace("first", INST), "  3?", "Think.")
    assert metaspace("first").decode(found.before) == "<s>[INST] 3?\n"
    with pytest.raises(ConfigError, match="template leaves as it is"):
        placed(metaspace("first", INST), "3?", "Think.\n")


@pytest.mark.parametrize("together", ["\nThink", ". ["])
def test_a_prompt_that_grows_together_with_what_is_around_it_is_refused(together):
    from tokenizers import AddedToken

    words = tokenizer()
    words.chat_template = INST
    assert placed(words, "3?", "Think.").prompt
    words.add_tokens([AddedToken(together, normalized=False)])
    with pytest.raises(ConfigError, match="begins and ends where tokens do"):
        placed(words, "3?", "Think.")


def test_a_row_is_the_turn_and_what_follows():
    found = placed(tokenizer(), "3?", "Go.")
    row = found.row((40, 41), Label((50,), (60, 61)))
    assert row.before == found.before
    assert row.behind == (*found.behind, 40, 41, 50)
    assert row.answer == (60, 61)
    assert row.stop is None


def test_a_stop_is_counted_from_the_prompt():
    found = placed(tokenizer(), "3?", "Go.")
    row = found.row((40, 41), Label((50,), (60,)), (1, (7, 9)))
    assert row.stop == (len(found.behind) + 1, (7, 9))
    assert row.behind[: row.stop[0]] == (*found.behind, 40)


@pytest.mark.parametrize("prompt", ["", "  "])
def test_no_prompt_is_refused(prompt):
    with pytest.raises(ConfigError, match="prompt"):
        placed(tokenizer(), "3?", prompt)


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_pieces_are_the_text(text):
    words = tokenizer()
    ids = words(text, add_special_tokens=False).input_ids
    found = pieces(words, ids)
    assert len(found) == len(ids)
    assert "".join(found) == words.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def test_a_character_of_several_tokens_stands_with_the_last():
    words = tokenizer()
    assert pieces(words, words("aé€", add_special_tokens=False).input_ids) == ["a", "", "é", "", "", "€"]
