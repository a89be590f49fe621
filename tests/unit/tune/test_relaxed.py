"""The gradient over candidates for one token of a prompt, against the loss itself."""

import pytest
import torch
from tiny_lm import SIZES, gpt2, llama, mistral

from poise.errors import ConfigError
from poise.tune.relaxed import Relaxed
from poise.tune.rows import LossTerms, Row

ROWS = (
    Row((0, 5, 9, 77), (41, 9, 130, 12, 7), (55, 60), (3, (1, 90, 7))),
    Row((0, 200), (3, 18, 99), (61,), (1, (1,))),
)
PROMPT, CANDIDATES = (30, 31, 32, 33), (32, 40, 50, 60, 70)
EVERYTHING = LossTerms(0.5, 0.3, 0.2)


@pytest.fixture(params=[llama, gpt2])
def model(request):
    return request.param().double().requires_grad_(False)


def with_token(prompt, place, token):
    return (*prompt[:place], token, *prompt[place + 1 :])


@pytest.mark.parametrize("terms", [LossTerms(), LossTerms(1.0, 0.0), EVERYTHING])
def test_the_gradient_is_that_of_central_differences(model, terms):
    relaxed = Relaxed(model, terms)
    exact = model.config.model_type == "gpt2"  # a Llama's norms are float32 whatever its weights are
    size, near = (1e-5, 1e-5) if exact else (3e-3, 2e-2)
    found = relaxed.slopes(ROWS, PROMPT, 2, CANDIDATES)
    base = torch.zeros(len(ROWS), len(CANDIDATES), dtype=torch.float64)
    base[:, 0] = 1
    for column in range(len(CANDIDATES)):
        step = torch.zeros_like(base)
        step[:, column] = size
        with torch.no_grad():
            up, down = (relaxed.losses_at(ROWS, PROMPT, 2, CANDIDATES, base + sign * step) for sign in (1, -1))
        torch.testing.assert_close(found.gradient[:, column], (up - down) / (2 * size), atol=near, rtol=near)


@pytest.mark.parametrize("token", CANDIDATES)
def test_the_loss_at_a_corner_is_that_of_the_prompt_with_that_token(model, token):
    relaxed = Relaxed(model, EVERYTHING)
    weights = torch.zeros(len(ROWS), len(CANDIDATES), dtype=torch.float64)
    weights[:, CANDIDATES.index(token)] = 1
    with torch.no_grad():
        corner = relaxed.losses_at(ROWS, PROMPT, 2, CANDIDATES, weights)
    torch.testing.assert_close(corner, relaxed.losses(ROWS, with_token(PROMPT, 2, token)))


def test_rows_do_not_depend_on_what_they_are_padded_to(model):
    relaxed = Relaxed(model, EVERYTHING)
    together = relaxed.slopes(ROWS, PROMPT, 1, (31, 90))
    for number, row in enumerate(ROWS):
        alone = relaxed.slopes([row], PROMPT, 1, (31, 90))
        torch.testing.assert_close(together.losses[number], alone.losses[0])
        torch.testing.assert_close(together.gradient[number], alone.gradient[0])


def test_the_loss_is_the_sum_of_its_terms(model):
    """By hand, from the logits of the whole text."""
    row = ROWS[0]
    text = [*row.before, *PROMPT, *row.behind, *row.answer]
    with torch.no_grad():
        logits = model(torch.tensor([text])).logits[0]
    start, first = len(row.before), len(text) - len(row.answer)
    hot = torch.log_softmax(logits / 0.5, -1)
    answer = -sum(hot[first - 1 + k, token] for k, token in enumerate(row.answer)) / len(row.answer)
    plain = torch.log_softmax(logits, -1)
    own = -sum(plain[start - 1 + k, token] for k, token in enumerate(PROMPT)) / len(PROMPT)
    stop = -sum(plain[start + len(PROMPT) + row.stop[0] - 1, token].exp() for token in row.stop[1]).log()
    wanted = answer + 0.3 * own + 0.2 * stop
    assert float(Relaxed(model, EVERYTHING).losses([row], PROMPT)[0]) == pytest.approx(float(wanted), abs=1e-6)


def test_the_prompts_own_likelihood_alone_picks_the_models_argmax(model):
    """For its last token, behind which nothing of the prompt stands."""
    relaxed = Relaxed(model, LossTerms(1e9, 1.0))
    candidates = tuple(range(2, 258))
    prompt = (*PROMPT[:-1], 2)
    row = ROWS[0]
    found = relaxed.slopes([row], prompt, 3, candidates)
    with torch.no_grad():
        logits = model(torch.tensor([[*row.before, *prompt[:-1]]])).logits[0, -1]
    assert candidates[int(found.gradient[0].argmin())] == int(logits[2:].argmax()) + 2


def family(name, **changes):
    """A tiny random model of another family."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SIZES | {"head_dim": 8, "pad_token_id": 1} | changes)
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("Gemma2", {}, r"final_logit_softcapping of the model: got 30\.0"),
        ("Granite", {"logits_scaling": 8.0}, r"logits_scaling of the model: got 8\.0"),
        ("Cohere", {}, r"logit_scale of the model: got 0\.0625"),
    ],
)
def test_a_model_that_does_more_to_its_logits_is_refused_by_the_field_that_says_so(name, changes, said):
    with pytest.raises(ConfigError, match=said):
        Relaxed(family(name, **changes)).check()


@pytest.mark.parametrize("make", [llama, gpt2, mistral])
def test_a_model_whose_logits_are_its_heads_is_taken(make):
    for kind in (torch.float32, torch.bfloat16):
        Relaxed(make().to(kind)).check()


@pytest.mark.parametrize(
    ("name", "changes"),
    [("Gemma2", {"final_logit_softcapping": None}), ("Gemma", {}), ("Granite", {"embedding_multiplier": 12.0})],
)
def test_embeddings_are_scaled_as_the_model_scales_them(name, changes):
    """By hand, from the logits of the whole text."""
    model, row = family(name, **changes), ROWS[1]
    Relaxed(model).check()
    text = [*row.before, *PROMPT, *row.behind, *row.answer]
    with torch.no_grad():
        logits = model(torch.tensor([text])).logits[0]
    wanted = -torch.log_softmax(logits[-2], -1)[row.answer[0]]
    found = Relaxed(model, LossTerms(1.0, 0.0)).losses([row], PROMPT)[0]
    assert float(found) == pytest.approx(float(wanted), abs=1e-4)


def test_what_cannot_work_is_refused(model):
    with pytest.raises(ConfigError, match="candidates"):
        Relaxed(model).slopes(ROWS, PROMPT, 2, (40, 50))
    with pytest.raises(ConfigError, match="answer"):
        Row((0,), (1,), ())
    with pytest.raises(ConfigError, match="stop"):
        Row((0,), (1,), (2,), (2, (1,)))
    with pytest.raises(ConfigError, match="temperature"):
        LossTerms(0.0)
    with pytest.raises(ConfigError, match="stop_weight"):
        LossTerms(stop_weight=-1.0)
