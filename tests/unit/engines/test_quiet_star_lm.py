"""The engine that thinks: its laws, its modes, and its bill."""

import asyncio
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from tiny_lm import dense, gpt2, llama, tokenizer

from poise.core import Ability, Message, Request, Role, Sampling, Thinking, ThinkingMode
from poise.engines import quiet_star_lm
from poise.engines.quiet_star_lm import QuietStarLM
from poise.engines.torch_lm import TorchLM
from poise.errors import ConfigError, EngineRefused
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.decoding import ThinkingRows
from poise.models.quiet_star.gates import Gate, Unsure
from poise.models.quiet_star.model import QuietStar
from poise.run import solve
from poise.seams import Plan
from poise.strategies.direct import Direct
from poise.testing import check_engine

MARKS = ("<|startthought|>", "<|endthought|>")
STORY = (Message(Role.USER, "Tell me a story."),)
OFF, EXACT = Thinking(ThinkingMode.OFF), Thinking(ThinkingMode.EXACT)


def gated(share):
    return Thinking(ThinkingMode.GATED, share)


def amortised(drafts):
    return Thinking(ThinkingMode.AMORTISED, drafts=drafts)


@pytest.fixture
def made(monkeypatch):
    """Makes engines of one tiny model with thoughts, or of `base`; `gate`: of its entropy."""
    engines = []

    def make(gate=(0.0, 0.5, 1.0, 1.5, 2.5), thinking=EXACT, slots=8, base=None, **knobs):
        base = base or dense()
        torch.manual_seed(7)
        thoughtful = QuietStar(base.model, base.tokenizer, QuietStarConfig(n_ahead=5))
        torch.nn.init.normal_(thoughtful.mixer.last.weight, std=1.0)
        thoughtful.gate = Gate(Unsure.ENTROPY, gate) if gate else None
        found = thoughtful.eval().requires_grad_(False), base
        monkeypatch.setattr(quiet_star_lm, "load_quiet_star", lambda *words: found)
        engines.append(QuietStarLM("folder", thinking=thinking, slots=slots, **{"context": 128} | knobs))
        return engines[-1]

    yield make
    for engine in engines:
        asyncio.run(engine.aclose())


async def drawn(engine, thinking=None, seed=1, n=1, tokens=24, heat=1.0):
    """(texts, new tokens, thought tokens, logprobs, token ids) of draws."""
    sampling = Sampling(heat, max_tokens=tokens, seed=seed, top_logprobs=0, thinking=thinking)
    texts, new, thought, logprobs, ids = [""] * n, 0, 0, [], [()] * n
    async for delta in engine.stream(STORY, sampling, n):
        texts[delta.index] += delta.text
        new, thought = new + delta.tokens, thought + delta.thought_tokens
        logprobs += delta.logprobs
        ids[delta.index] += delta.token_ids
    return texts, new, thought, logprobs, ids


def assert_same(one, other):
    """Logprobs differ in their last bits where a prompt was cached."""
    assert one[:3] == other[:3]
    assert one[3] == pytest.approx(other[3], abs=1e-4)


async def test_the_laws_of_an_engine_hold(made):
    await check_engine(made())


async def test_off_is_the_model_beneath(made):
    plain = TorchLM(dense(made().model()), context=128, slots=8)
    off = await drawn(made(), OFF)
    assert_same(off, await drawn(plain))
    assert off[2] == 0
    await plain.aclose()


async def test_a_gate_of_nothing_is_off_and_of_everything_is_exact(made):
    engine = made()
    assert_same(await drawn(engine, gated(0.0)), await drawn(engine, OFF))
    assert_same(await drawn(engine, gated(1.0)), await drawn(engine, EXACT))


async def test_thoughts_change_the_text_and_are_billed(made):
    engine = made()
    off, exact, some = [await drawn(engine, mode) for mode in (OFF, EXACT, gated(0.4))]
    assert exact[0] != off[0]
    assert exact[2] == exact[1] * 4  # n_ahead - 1 passes for each token
    assert 0 < some[2] < some[1] * 4
    assert some[2] % 4 == 0
    assert Ability.THOUGHTS in engine.can


async def test_a_text_less_sure_than_the_gate_was_measured_on_keeps_to_its_share(made):
    _, new, thought, *_ = await drawn(made(gate=(0.0, 1e-6, 2e-6)), gated(0.15), tokens=80)
    assert 0.15 * new - 1 <= thought / 4 <= 0.15 * (new + 10) + 1 < new / 2


async def test_who_comes_in_thinks_together_with_those_who_are_there(made, monkeypatch):
    sizes, think = [], ThinkingRows.think
    monkeypatch.setattr(
        ThinkingRows, "think", lambda self, which, *rest: sizes.append(len(which)) or think(self, which, *rest)
    )
    engine = made()
    stream = engine.stream(STORY, Sampling(1.0, max_tokens=24, seed=1), 1)
    await anext(aiter(stream))
    await asyncio.gather(drawn(engine, EXACT, seed=2), read_out(stream))
    assert sum(sizes) == 48
    assert len(sizes) == 24 + sizes.index(2)


async def read_out(stream):
    async for _ in stream:
        pass


async def test_thoughts_do_not_depend_on_who_else_draws(made):
    engine = made()
    alone = await drawn(engine, EXACT, seed=5)
    together = await asyncio.gather(
        drawn(engine, EXACT, seed=5), drawn(engine, OFF, seed=6), drawn(engine, gated(0.5), seed=7, n=3)
    )
    assert together[0][0] == alone[0]
    assert_same(await drawn(engine, EXACT, seed=5), alone)


@pytest.mark.parametrize("drafts", [1, 3, 8])
async def test_amortised_says_greedily_what_exact_does(made, drafts):
    engine = made()
    exact = await drawn(engine, EXACT, heat=0.0)
    drafted = await drawn(engine, amortised(drafts), heat=0.0)
    assert (drafted[0], drafted[1]) == (exact[0], exact[1])
    assert drafted[3] == pytest.approx(exact[3], abs=1e-4)


async def test_amortised_says_what_exact_does_as_often(made):
    """Token by token, pairs of them included, over draws by other seeds: chi-square of two samples."""
    engine = made(slots=64)
    exact, drafted = [], []
    for seed in range(10):
        exact += (await drawn(engine, EXACT, seed=seed, n=64, tokens=4, heat=0.6))[4]
        drafted += (await drawn(engine, amortised(3), seed=1000 + seed, n=64, tokens=4, heat=0.6))[4]
    assert len(set(exact)) > 20
    for place in (slice(0, 1), slice(1, 2), slice(2, 4), slice(3, 4)):
        one, other = (Counter(ids[place] for ids in each) for each in (exact, drafted))
        often = [said for said, count in (one + other).items() if count >= 20]
        rest = [len(exact) - sum(one[said] for said in often), len(drafted) - sum(other[said] for said in often)]
        table = [[one[said] for said in often] + rest[:1], [other[said] for said in often] + rest[1:]]
        assert chi2_contingency(np.array(table)[:, np.sum(table, 0) > 0]).pvalue > 0.001


async def test_amortised_thoughts_are_billed_with_what_was_drafted_in_vain(made):
    """The first token is thought about by itself; every round thinks about each draft and the one after."""
    engine = made()
    _, new, thought, *_ = await drawn(engine, amortised(3), tokens=1)
    assert (new, thought) == (1, 4)
    _, new, thought, *_ = await drawn(engine, amortised(3), tokens=24)
    in_rounds = new - 1
    assert -(thought - 4 + in_rounds) % (4 * 4 + 4) <= 3  # what the last round kept beyond the 24 is not delivered


async def test_amortised_draws_do_not_depend_on_who_else_draws(made):
    engine = made()
    alone = await drawn(engine, amortised(3), seed=5)
    together = await asyncio.gather(
        drawn(engine, amortised(3), seed=5),
        drawn(engine, amortised(2), seed=6),
        drawn(engine, gated(0.5), seed=7, n=3),
        drawn(engine, OFF, seed=8),
    )
    assert together[0][0] == alone[0]
    assert_same(together[3], await drawn(engine, OFF, seed=8))


async def test_the_engines_own_mode_holds_where_a_draw_says_nothing(made):
    assert (await drawn(made(thinking=OFF)))[2] == 0
    assert (await drawn(made(thinking=EXACT)))[2] > 0


@pytest.mark.parametrize("asked", [0, 509, 4096])
def test_its_context_leaves_places_for_the_last_thought(made, asked):
    """Of a window of 512 places: four passes behind the last token."""
    engine = made(context=asked, slots=1)
    assert engine.context == engine.card.context == 508
    assert made(context=507).context == 507


def test_a_base_of_another_family_is_refused_before_anything_is_drawn(monkeypatch):
    thoughtful = QuietStar(gpt2(), tokenizer(), QuietStarConfig(n_ahead=5))
    monkeypatch.setattr(quiet_star_lm, "load_quiet_star", lambda *words: (thoughtful, dense(thoughtful.model)))
    with pytest.raises(ConfigError, match=r"GPT2LMHeadModel.*llama-family"):
        QuietStarLM("folder")


def knowing_marks():
    """A base whose vocabulary holds the marks already, as words that it never says."""
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": list(MARKS)})
    model = llama(vocab_size=260, tie_word_embeddings=False).requires_grad_(False)
    model.lm_head.weight *= 3
    model.lm_head.weight[258:] = 0
    return dense(model, words)


async def test_marks_that_the_vocabulary_holds_are_not_those_of_thoughts(made):
    """Wrapping adds no word; what the rows of such words hold moves no thought; however much a mark looks like every
    state, none is ever said."""
    base, plain = knowing_marks(), knowing_marks()
    engine = made(base=base)
    assert len(base.tokenizer) == len(plain.tokenizer) == 260
    for name, numbers in plain.model.state_dict().items():
        assert torch.equal(base.model.state_dict()[name], numbers), name
    rows = ThinkingRows(engine._thoughtful, 1, 32)
    read = rows.admit([([5, 9, 77], 1)])
    told = rows.think(torch.tensor([0]), read.states[:, None], torch.rand(1, 1, 2).double())
    assert read.logits.shape == told[0].shape == (1, 260)

    ids = base.tokenizer.convert_tokens_to_ids(list(MARKS))
    before = await drawn(engine, EXACT, n=8)
    base.model.get_input_embeddings().weight[ids] += 10
    marked = made(base=base)
    assert_same(await drawn(marked, EXACT, n=8), before)
    marked._thoughtful.start += read.states[0] / 10
    marked._thoughtful.end += read.states[0] / 10
    for mode in (EXACT, gated(0.5), amortised(3)):
        texts, *_, said = await drawn(marked, mode, n=8, tokens=32)
        assert sum(map(len, said)) > 150
        assert {token for each in said for token in each} <= set(range(258))
        assert not any(mark in text for mark in MARKS for text in texts)


async def test_what_a_vocabulary_calls_a_mark_is_a_word_like_any_other(made):
    """Where the base says one, it opens no thought and ends none: each token has its own, and with thoughts off it is
    the base's word."""
    base = knowing_marks()
    base.model.lm_head.weight[258:] = base.model.lm_head.weight[100:102] * 3
    engine, plain = made(base=base), TorchLM(base, context=128, slots=8)
    off = await drawn(engine, OFF, n=8)
    assert_same(off, await drawn(plain, n=8))
    assert {258, 259} & {token for each in off[4] for token in each}
    _, new, thought, _, ids = await drawn(engine, EXACT, n=8)
    assert {258, 259} & {token for each in ids for token in each}
    assert thought == new * 4
    await plain.aclose()


async def test_thoughts_are_charged_in_flops(made):
    """A thought that is mixed in with weight 0 changes no text: what it adds to the bill is its own positions, behind
    those of the text, each with a pass, its keys, and a row of the head."""
    usages = []
    for thinking in (OFF, EXACT):
        engine = made(thinking=thinking)
        engine._thoughtful.mixer.last.weight.zero_()
        request = Request(STORY, sampling=Sampling(max_tokens=12))
        answer = await solve(request, Plan(Direct(), (("main", engine.name),)), {engine.name: engine}, {}, seed=1)
        usages.append((answer.text, answer.usage))
    (text, off), (same, exact) = usages
    assert (same, exact.new_tokens, exact.prompt_tokens) == (text, off.new_tokens, off.prompt_tokens)
    thought, end, card = exact.thought_tokens, off.prompt_tokens + off.new_tokens - 1, engine.card
    assert (thought, off.thought_tokens) == (4 * off.new_tokens, 0)
    each = 2 * card.body_parameters + 2 * card.width * card.vocabulary
    keys = 4 * card.layers * card.attention_width * (thought * end + thought * (thought + 1) / 2)
    assert min(each, keys) > 0
    assert exact.flops - off.flops == pytest.approx(thought * each + keys, rel=1e-9)


async def test_what_it_cannot_do_is_refused(made):
    with pytest.raises(EngineRefused, match="no gate"):
        made(gate=None).stream(STORY, Sampling(thinking=gated(0.5)))
    with pytest.raises(ConfigError, match="share"):
        gated(1.5)
