"""The loss of Quiet-STaR against the same sums written out place by place."""

import pytest
import torch
from tiny_lm import llama, tokenizer

from poise.errors import ConfigError
from poise.lab.quiet_star.objective import Texts, advantages, quiet_star_loss, thinking_places
from poise.lab.quiet_star.settings import LossWeights
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel, retold

IDS = torch.tensor([[5, 9, 77, 41, 9, 130, 12, 1], [200, 3, 3, 18, 99, 7, 250, 1]])
COUNTED = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0, 0, 0]], dtype=torch.bool)
EVERY = torch.arange(IDS.shape[1]).expand(len(IDS), -1)
CONFIG = QuietStarConfig(n_ahead=5, n_ahead_talk=3, n_passes=2)


@pytest.fixture
def model():
    torch.manual_seed(7)
    made = QuietStar(llama(), tokenizer(), CONFIG)
    torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
    for parameter in made.model.parameters():
        parameter.requires_grad_(False)
    return made


def numbers(seed=0):
    size = (CONFIG.n_passes * len(IDS), IDS.shape[1], CONFIG.thought_tokens)
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)).double()


def nll(model, state, token):
    return float(-torch.log_softmax(model.logits(state).float(), -1)[token].detach())


def test_it_is_what_it_says(model):
    found = quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), numbers(), LossWeights(0.5, 0.5, 0.7, 3.0))
    ids, counted = (part.repeat_interleave(CONFIG.n_passes, 0) for part in (IDS, COUNTED))
    with torch.no_grad():
        told = parallel(model, ids, numbers())
    length, base, mixed, rewards, places = ids.shape[1], [], [], {}, 0
    for row in range(len(ids)):
        base += [nll(model, told.base[row, j], ids[row, j + 1]) for j in range(length - 1) if counted[row, j + 1]]
        for j in range(length):
            talk = [i for i in range(CONFIG.n_ahead_talk) if j + 1 + i < length and counted[row, j + 1 + i]]
            pairs = [
                (
                    nll(model, told.base[row, j + i], ids[row, j + 1 + i]),
                    nll(model, told.mixed[row, j, i], ids[row, j + 1 + i]),
                )
                for i in talk
            ]
            mixed += [with_it for _, with_it in pairs]
            rewards[row, j] = sum(without - with_it for without, with_it in pairs)
            places += bool(talk)
    policy = 0.0
    for (row, j), reward in rewards.items():
        other = rewards[row ^ 1, j]
        above = max(reward - (reward + other) / 2, 0)
        logs = torch.log_softmax(model.logits(told.sources[row, j]).float() / 3.0, -1)
        policy -= above * float(logs.gather(1, told.tokens[row, j][:, None]).sum())
    assert found.base == pytest.approx(sum(base) / len(base), rel=1e-4)
    assert found.mixed == pytest.approx(sum(mixed) / len(mixed), rel=1e-4)
    assert found.reward == pytest.approx(sum(rewards.values()) / places, abs=1e-4)
    expected = 0.5 * found.base + 0.5 * found.mixed + 0.7 * policy / places
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-3)


def test_gradients_reach_thoughts_marks_and_mixing(model):
    quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), numbers(), LossWeights()).total.backward()
    for parameter in (model.start, model.end, *model.mixer.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_filler_reinforces_nothing(model):
    one = quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), numbers(), LossWeights(policy_loss_beta=5.0), filler=9)
    other = quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), numbers(1), LossWeights(policy_loss_beta=0.0), filler=9)
    assert float(one.total.detach()) == pytest.approx(float(other.total.detach()))


def test_advantages_are_above_the_mean_of_their_own_passes():
    reward = torch.tensor([[1.0, 0.0], [3.0, 0.0], [10.0, -4.0], [10.0, 2.0]])
    assert advantages(reward, 2).tolist() == [[0, 0], [1, 0], [0, 0], [0, 3]]
    assert not advantages(reward, 1).any()


def test_nothing_to_predict_is_refused(model):
    with pytest.raises(ConfigError, match="counted"):
        quiet_star_loss(model, Texts(IDS, torch.zeros_like(COUNTED), EVERY), numbers(), LossWeights())
    for knob, bad in (("base_loss_beta", -1.0), ("reinforce_temperature", 0.0), ("policy_loss_beta", float("nan"))):
        with pytest.raises(ConfigError, match=knob):
            LossWeights(**{knob: bad})


def test_distillation_teaches_the_base_alone(model):
    """Its gradient is that of the cross-entropy written out, and none of it reaches what thoughts are made of."""
    for parameter in model.model.parameters():
        parameter.requires_grad_(True)
    weights = LossWeights(0.0, 0.0, 0.0, distil_loss_beta=1.0)
    quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), numbers(), weights).total.backward()
    body = [parameter for name, parameter in model.model.named_parameters() if "layers" in name]
    made = [parameter.grad.clone() for parameter in body]
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.mixer.parameters())
    model.zero_grad()
    ids, counted = (part.repeat_interleave(CONFIG.n_passes, 0) for part in (IDS, COUNTED))
    found = parallel(model, ids, numbers())
    where = torch.cat((counted[:, 1:], torch.zeros_like(counted[:, :1])), 1)
    wanted = torch.softmax(model.logits(found.mixed[:, :, 0]).float(), -1).detach()
    logs = torch.log_softmax(model.logits(found.base).float(), -1)
    (-(wanted * logs).sum(-1)[where].mean()).backward()
    for parameter, gradient in zip(body, made, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-3)


def test_places_without_anything_to_predict_are_not_needed(model):
    """Leaving out the thoughts that nothing is said by changes no loss."""
    few = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 6, 7]])  # the talk of the others holds no counted token
    rolls = numbers()
    at = few.repeat_interleave(CONFIG.n_passes, 0)
    same = rolls.gather(1, at[..., None].expand(-1, -1, rolls.shape[-1]))
    whole = quiet_star_loss(model, Texts(IDS, COUNTED, EVERY), rolls, LossWeights())
    part = quiet_star_loss(model, Texts(IDS, COUNTED, few), same, LossWeights())
    assert float(part.total.detach()) == pytest.approx(float(whole.total.detach()), abs=1e-6)
    assert (part.first, part.mixed, part.reward) == pytest.approx((whole.first, whole.mixed, whole.reward), abs=1e-6)


def test_thoughts_distil_at_the_places_that_think(model):
    few, weights = torch.tensor([[1, 3], [2, 3]]), LossWeights(0.0, 0.0, 0.0, 3.0, 1.0)
    rolls = numbers()[:, :2]
    found = quiet_star_loss(model, Texts(IDS, COUNTED, few), rolls, weights).total.detach()
    told = parallel(model, *(part.repeat_interleave(2, 0) for part in (IDS,)), rolls, at=few.repeat_interleave(2, 0))
    losses = []
    for row, places in enumerate(few.repeat_interleave(2, 0).tolist()):
        for place, j in enumerate(places):
            plain, mixed = (
                torch.log_softmax(model.logits(state).float(), -1)
                for state in (told.base[row, j], told.mixed[row, place, 0])
            )
            losses.append(float(-(mixed.exp() * plain).sum().detach()))
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_the_places_that_think_have_something_to_predict():
    dice = torch.Generator().manual_seed(1)
    drawn = [thinking_places(COUNTED, 2, 3, dice) for _ in range(60)]
    worth = [{0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3}]  # tokens 2 to 7, and 1 to 4, are to be predicted, two at a time
    for row in (0, 1):
        seen = {int(place) for at in drawn for place in at[row]}
        assert seen == worth[row]
        assert all(at[row].tolist() == sorted(set(at[row].tolist())) for at in drawn)
    full = thinking_places(COUNTED, 2, 6, dice)
    assert set(full[1].tolist()) >= worth[1]
    assert torch.equal(thinking_places(COUNTED, 2, 0, dice), EVERY)


def test_the_state_after_a_thought_learns_alone(model):
    found = quiet_star_loss(
        model, Texts(IDS, COUNTED, EVERY), numbers(), LossWeights(0, 0, 0, 3.0, 0, 1.0)
    ).total.detach()
    ids, counted = (part.repeat_interleave(2, 0) for part in (IDS, COUNTED))
    losses = []
    with torch.no_grad():
        told = parallel(model, ids, numbers())
    for row in range(len(ids)):
        for j in range(ids.shape[1]):
            for i in range(CONFIG.n_ahead_talk):
                if j + 1 + i < ids.shape[1] and counted[row, j + 1 + i]:
                    losses.append(nll(model, told.alone[row, j, i], ids[row, j + 1 + i]))
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_a_text_that_is_taught_thinks_so_in_one_of_its_passes(model):
    known = torch.tensor([[7, 8], [-1, -1]])
    texts, weights = Texts(IDS, COUNTED, EVERY, known), LossWeights(0, 0, 0, 3.0, worked_loss_beta=1.0)
    wide = texts.repeated(2)
    drawn = torch.full((4, IDS.shape[1], 2), 3)
    told = wide.told(drawn)
    assert told[0].tolist() == [[7, 8]] * IDS.shape[1]
    assert torch.equal(told[1:], drawn[1:])
    found = quiet_star_loss(model, texts, numbers(), weights).total.detach()
    with torch.no_grad():
        seen = retold(model, IDS[:1], told[:1])
    worth = [j for j in range(7) if COUNTED[0, j + 1 : j + 4].any()]
    losses = [nll(model, seen.sources[0, j, k], known[0, k]) for j in worth for k in range(2)]
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-4)
    assert float(quiet_star_loss(model, texts, numbers(), weights, filler=9).total.detach()) == 0.0
