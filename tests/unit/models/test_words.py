import pytest
import tiny_words

from poise.errors import ModelError
from poise.models.words import tokenizer_of


@pytest.fixture
def read(tmp_path):
    return lambda **settings: tokenizer_of(tiny_words.write(tmp_path / "words.gguf", **settings))


def cut(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids)


@pytest.mark.parametrize(
    ("pre", "text", "tokens"),
    [
        ("smollm", "the the 123", ["the", "\u0120the", "\u0120", "1", "2", "3"]),  # each digit for itself
        ("gpt-2", "the the 123", ["the", "\u0120the", "\u0120", "123"]),
        ("", "the the123", ["the", "\u0120the", "123"]),  # files of old do not name the rule
        ("llama-bpe", "the the 1234", ["the", "\u0120the", "\u0120", "123", "4"]),  # three digits at most
        ("qwen2", "the the 123", ["the", "\u0120the", "\u0120", "1", "2", "3"]),
        ("llama-bpe", "ab", ["ab"]),  # a word that is a token, whatever the merges say
        ("gpt-2", "ab", ["a", "b"]),
    ],
)
def test_words_are_cut_by_the_rule_that_the_file_names(read, pre, text, tokens):
    tokenizer = read(pre=pre)
    # A space before a number: GPT-2's rule takes it along, and no merge joins the two here.
    assert cut(tokenizer, text) == tokens


@pytest.mark.parametrize(
    "text", ["", "the end", "\u00e9t\u00e9 \u4f60\u597d \U0001f600", "a\n\n  b\t12", "x<|end|>y<mine>"]
)
@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "llama-bpe", "qwen2"])
def test_any_text_comes_back_as_it_was(read, pre, text):
    tokenizer = read(pre=pre)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_special_tokens_are_one_token_each_and_can_be_left_out(read):
    tokenizer = read()
    ids = tokenizer("a<|end|>b<mine>", add_special_tokens=False).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["a", "<|end|>", "b", "<mine>"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "ab<mine>"  # the user's own are text
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|start|>", "<|end|>")
    assert len(tokenizer) == len(tiny_words.TOKENS)


def test_the_chat_template_is_the_files(read):
    said = [{"role": "user", "content": "the"}]
    assert read().apply_chat_template(said, tokenize=False) == "<|start|>the<|end|>"
    assert read(template="").chat_template is None


def test_it_survives_being_saved(read, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = read()
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    text = "the 123<|end|> ab<mine>"
    assert again(text, add_special_tokens=False).input_ids == tokenizer(text, add_special_tokens=False).input_ids
    assert (again.eos_token, again.chat_template) == (tokenizer.eos_token, tokenizer.chat_template)


def test_what_cannot_be_read_is_named(read):
    with pytest.raises(ModelError, match="its vocabulary is 'llama'"):
        read(model="llama")
    with pytest.raises(ModelError, match="the rule 'jina-v9', not known here"):
        read(pre="jina-v9")
