import gguf
import pytest
import tiny_gguf

from poise.costs import Card
from poise.errors import ConfigError, ModelError
from poise.models import card_from_config, card_of
from poise.models.card import cache_bytes_per_token
from poise.models.gguf_header import read_header

SMOLLM2 = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}


def test_card_of_a_gguf_file(tmp_path):
    card = card_of(tiny_gguf.write(tmp_path / "tiny.gguf"))
    table = tiny_gguf.VOCABULARY * tiny_gguf.WIDTH
    body = tiny_gguf.BODY
    assert card == Card(
        "tiny", body + table, body, layers=2, width=64, attention_width=64, vocabulary=1500, context=128
    )


def test_an_untied_head_is_outside_the_body(tmp_path):
    card = card_of(tiny_gguf.write(tmp_path / "untied.gguf", tied=False))
    assert card.body_parameters == tiny_gguf.BODY
    assert card.parameters == tiny_gguf.BODY + 2 * tiny_gguf.VOCABULARY * tiny_gguf.WIDTH


def test_experts_count_by_the_share_that_runs(tmp_path):
    card = card_of(tiny_gguf.write(tmp_path / "experts.gguf", experts=8))
    expert = tiny_gguf.LAYERS * 3 * tiny_gguf.WIDTH * tiny_gguf.INNER
    dense = tiny_gguf.BODY - expert
    assert card.body_parameters == dense + 2 * expert
    assert card.parameters == dense + 8 * expert + tiny_gguf.VOCABULARY * tiny_gguf.WIDTH


def test_cache_size_counts_keys_and_values_of_all_layers(tmp_path):
    path = tiny_gguf.write(tmp_path / "tiny.gguf")
    head = tiny_gguf.WIDTH // tiny_gguf.HEADS
    assert cache_bytes_per_token(read_header(path), path) == 2 * 2 * tiny_gguf.LAYERS * tiny_gguf.KEYS * head


def test_a_file_that_is_no_language_model(tmp_path):
    path = tmp_path / "empty.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"does not say embedding_length; is it a language model\?"):
        card_of(path)


def test_card_from_the_config_of_smollm2_is_that_of_its_weights():
    card = card_from_config(SMOLLM2, "SmolLM2")
    assert card == Card("SmolLM2", 134_515_008, 106_203_456, 30, 576, 576, 49_152, 8_192)


def test_card_from_the_config_of_qwen2_counts_its_biases():
    assert card_from_config(QWEN2).parameters == 494_032_768


def test_an_untied_config_has_a_second_table():
    tied, untied = card_from_config(SMOLLM2), card_from_config(SMOLLM2 | {"tie_word_embeddings": False})
    assert untied.parameters - tied.parameters == 576 * 49_152
    assert untied.body_parameters == tied.body_parameters


def test_head_size_may_differ_from_width_over_heads():
    assert card_from_config(SMOLLM2 | {"head_dim": 128}).attention_width == 9 * 128


@pytest.mark.parametrize("change", [{"hidden_size": None}, {"vocab_size": "many"}, {"num_local_experts": 8}])
def test_a_config_that_cannot_be_used(change):
    with pytest.raises(ConfigError, match=r"config\."):
        card_from_config(SMOLLM2 | change)
