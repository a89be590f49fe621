import asyncio
import dataclasses
import threading

import pytest
import torch
from tiny_lm import TEMPLATE, dense, gpt2, llama
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from poise.core import Ability, Finish, Message, Request, Role, Sampling
from poise.costs import Card
from poise.draws import Collected
from poise.engines.torch_lm import TorchLM, _slots
from poise.errors import ConfigError, EngineRefused, EngineUnreachable
from poise.models.quiet import quiet
from poise.testing import check_engine

MESSAGES = Request.ask("What is 3 + 4?").messages


async def drafts(engine, sampling, n=1, messages=MESSAGES):
    got = [Collected(0.0) for _ in range(n)]
    stream = engine.stream(messages, sampling, n)
    async for delta in stream:
        got[delta.index].add(delta, lambda: 0.0)
    assert (await stream.aclose()).tokens == 0
    return [one.draft() for one in got]


def generated(engine, ids, new_tokens):
    """What transformers makes of a prompt, greedily."""
    out = engine.model().generate(torch.tensor([ids]), max_new_tokens=new_tokens, do_sample=False, pad_token_id=1)
    return out[0, len(ids) :]


@pytest.fixture(params=[llama, gpt2])
async def engine(request):
    made = TorchLM(dense(request.param()), slots=6, context=200)
    yield made
    await made.aclose()


async def test_the_laws_hold(engine):
    assert {Ability.WHITE_BOX, Ability.SEEDS, Ability.CONTINUES} <= engine.can
    await check_engine(engine)


async def test_words_of_a_text_that_is_gone_on_with_keep_their_space():
    """A SentencePiece tokenizer says a word with the space before it, and drops that before the first word of a text:
    which the first word of a draw is not where an assistant's text is gone on with."""
    words = {word: place for place, word in enumerate(("<s>", "</s>", "<unk>", "\n", *(f"▁w{k}" for k in range(60))))}
    made = Tokenizer(models.WordLevel(words, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(["<s>", "</s>"])
    spoken = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", unk_token="<unk>", chat_template=TEMPLATE)
    engine = TorchLM(dense(llama(vocab_size=len(words)), spoken), slots=2, context=64)
    try:
        [fresh] = await drafts(engine, Sampling(max_tokens=6, seed=1))
        assert fresh.text.startswith("w")
        said = (*MESSAGES, Message(Role.ASSISTANT, "w1 w2"))
        [more] = await drafts(engine, Sampling(max_tokens=6, seed=1), messages=said)
        assert more.text.startswith(" w")
        assert spoken.decode(spoken("w1 w2").input_ids + list(more.token_ids)) == f"w1 w2{more.text}"
    finally:
        await engine.aclose()


async def test_a_draw_is_the_same_alone_and_among_others(engine):
    """float32: the same tokens, logprobs within 1e-4."""
    seeds = [Sampling(max_tokens=30, seed=seed, top_logprobs=2) for seed in range(9)]
    alone = [(await drafts(engine, sampling))[0] for sampling in seeds]
    together = [found[0] for found in await asyncio.gather(*(drafts(engine, sampling) for sampling in seeds))]
    for one, other in zip(alone, together, strict=True):
        assert one.token_ids == other.token_ids
        assert one.text == other.text
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4, rtol=0)
    assert len({one.text for one in alone}) > 1


async def test_greedy_text_is_that_of_transformers(engine):
    [draft] = await drafts(engine, Sampling(temperature=0, max_tokens=25))
    ids = engine.ids(MESSAGES)
    out = generated(engine, ids, 25)
    assert list(draft.token_ids) == out.tolist()
    assert draft.tokens == len(out)


async def test_more_samples_than_rows_come_in_turns_and_differ(engine):
    found = await drafts(engine, Sampling(max_tokens=12, seed=1), 17)
    assert len({draft.text for draft in found}) > 10
    [alone] = await drafts(engine, Sampling(max_tokens=12, seed=1))
    assert alone.token_ids == found[0].token_ids


async def test_a_stop_string_ends_the_text_after_it(engine):
    [whole] = await drafts(engine, Sampling(max_tokens=60, seed=2))
    stop = whole.text[3:5]
    [cut] = await drafts(engine, Sampling(max_tokens=60, seed=2, stop=(stop,)))
    assert cut.finish is Finish.DELIMITER
    assert cut.text == whole.text[: whole.text.index(stop) + 2]


async def test_an_assistant_prefix_is_continued(engine):
    [whole] = await drafts(engine, Sampling(temperature=0, max_tokens=20))
    prefix = (*MESSAGES, Message(Role.ASSISTANT, "ab "))
    ids = engine.ids(prefix)
    assert ids[: len(engine.ids(MESSAGES))] == engine.ids(MESSAGES)
    [continued] = await drafts(engine, Sampling(temperature=0, max_tokens=20), messages=prefix)
    out = generated(engine, ids, 20)
    assert list(continued.token_ids) == out.tolist()
    assert whole.tokens > 0


async def test_texts_that_are_gone_on_with_are_served_first():
    """Their keys are in the cache now, and may not be later."""
    engine, order, begun = TorchLM(dense(llama()), slots=1, context=200), [], asyncio.Event()

    async def one(name, messages, tokens):
        async for _ in engine.stream(messages, Sampling(max_tokens=tokens, seed=1)):
            begun.set()
        order.append(name)

    prefix = (*MESSAGES, Message(Role.ASSISTANT, "ab "))
    busy = asyncio.create_task(one("busy", MESSAGES, 150))
    await begun.wait()  # its slot is taken: the others wait for it
    await asyncio.gather(busy, one("fresh", MESSAGES, 3), one("going on", prefix, 3))
    assert order == ["busy", "going on", "fresh"]
    await engine.aclose()


async def test_the_context_ends_a_draw_and_refuses_a_prompt(engine):
    room = engine.context - len(engine.ids(MESSAGES))
    [draft] = await drafts(engine, Sampling(max_tokens=5_000, seed=3))
    assert draft.finish is Finish.EOS or draft.tokens == room
    with pytest.raises(EngineRefused, match="the context holds 200"):
        await drafts(engine, Sampling(), messages=Request.ask("x" * 300).messages)


async def test_a_closed_stream_frees_its_rows_and_settles(engine):
    stream = engine.stream(MESSAGES, Sampling(max_tokens=10_000, seed=4), 6)
    async for delta in stream:
        if delta.tokens:
            break
    overrun = await stream.aclose()
    assert overrun.tokens >= 5  # the other samples' tokens of that step were never looked at
    assert overrun.exact
    assert engine.load() == dataclasses.replace(engine.load(), in_flight=0, queued=0)
    assert (await drafts(engine, Sampling(max_tokens=3)))[0].tokens > 0


async def test_closing_the_engine_fails_its_draws_and_another_draw_restarts_it(engine):
    async def long():
        return await drafts(engine, Sampling(max_tokens=150, seed=5), 60)

    task = asyncio.create_task(long())
    await asyncio.sleep(0.05)
    await engine.aclose()
    with pytest.raises(EngineUnreachable, match="closed"):
        await task
    assert (await drafts(engine, Sampling(max_tokens=3)))[0].tokens > 0


async def test_a_decoder_that_breaks_is_heard_by_every_caller(engine, monkeypatch):
    def broken():
        raise MemoryError("no memory for the cache")

    monkeypatch.setattr(engine._worker, "_make", broken)
    with pytest.raises(EngineUnreachable, match="no memory for the cache"):
        await drafts(engine, Sampling(max_tokens=3))


def test_two_event_loops_share_one_engine():
    engine = TorchLM(dense(), slots=4, context=200)
    found = {}

    def ask(number):
        found[number] = asyncio.run(drafts(engine, Sampling(max_tokens=10, seed=7)))[0].text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(engine.aclose())
    assert len(found) == 3
    assert len(set(found.values())) == 1


async def test_hidden_states_are_those_of_the_model(engine):
    [hidden] = engine.hidden([MESSAGES])
    ids = torch.tensor([engine.ids(MESSAGES)])
    with torch.no_grad():
        told = engine.model()(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
    torch.testing.assert_close(hidden, told)


async def test_an_adapter_is_merged_and_a_wrong_one_refused(tmp_path):
    from peft import LoraConfig, get_peft_model

    def wrapped(**changes):
        with quiet():
            config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
            return get_peft_model(llama(**changes), config)

    wrapped().save_pretrained(tmp_path / "right")
    wrapped(hidden_size=16).save_pretrained(tmp_path / "wrong")
    plain, adapted = TorchLM(dense()), TorchLM(dense(), adapter=str(tmp_path / "right"))
    texts = [(await drafts(each, Sampling(temperature=0, max_tokens=20)))[0].text for each in (plain, adapted)]
    assert texts[0] != texts[1]
    for each in (plain, adapted):
        await each.aclose()
    with pytest.raises(ConfigError, match="adapter"):
        TorchLM(dense(), adapter=str(tmp_path / "wrong"))
    with pytest.raises(ConfigError, match="adapter"):
        TorchLM(dense(), adapter=str(tmp_path / "none"))


@pytest.mark.parametrize("knobs", [{"slots": -1}, {"context": -1}])
def test_knobs_that_cannot_work_are_refused(knobs):
    with pytest.raises(ConfigError, match="1 or more"):
        TorchLM(dense(), **knobs)


@pytest.mark.parametrize(("layers", "width", "slots"), [(2, 32, 64), (32, 4096, 16), (80, 80_000, 1), (0, 0, 64)])
def test_as_many_slots_as_fit(layers, width, slots):
    assert _slots(Card("any", layers=layers, attention_width=width), 1024) == slots
