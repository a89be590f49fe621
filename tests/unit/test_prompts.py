"""Prompt files: the format, what is rendered, and what is refused."""

import hashlib
import json
import sys
from importlib.resources import files
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise import prompts
from poise.core import Kind, Message, Request, Role
from poise.errors import ConfigError, DataError, UnknownName
from poise.prompts import export
from poise.prompts.measured import without_measurements

FOLLOWING = ("chain_of_density_round", "chain_of_density_trace", "chain_of_density_answer")
HEADER = "---\nid: mine\nversion: 3\ndescription: A test.\nsource: here\n---\n"
SLOTTED = HEADER.replace("here\n", 'here\nslot n: int = 50 (1..100) "word budget"\n')


def parse(text):
    return prompts.parse(text.encode(), "mine.md")


def ask(question, kind=Kind.TEXT):
    return Request.ask(question, kind)


def user(text):
    return Message(Role.USER, text)


def test_shipped_prompts_are_named_after_their_files():
    shipped = "bare chain_of_density chain_of_draft chain_of_draft_few_shot cot cot_few_shot direct direct_few_shot"
    assert prompts.names() == (*shipped.split(), "silent", "token_budget")
    for name in (*prompts.names(), *FOLLOWING, "closing", "waiting"):
        prompt = prompts.load(name)
        data = files("poise.prompts").joinpath(f"{name}.md").read_bytes()
        assert prompt.id == name
        assert prompt.hash == hashlib.sha256(without_measurements(data)).hexdigest()[:16]
        assert prompts.load(name) is prompt


FOR_TRAINED = ("bare", "silent")  # models that learnt how to answer need not be told


@pytest.mark.parametrize("name", prompts.names())
@pytest.mark.parametrize("kind", Kind)
def test_shipped_prompts_ask_the_question_and_leave_nothing_open(name, kind):
    *before, last = prompts.load(name).render(ask("What now?", kind))
    assert last.role is Role.USER
    assert last.text.startswith("What now?")
    everything = "".join(message.text for message in (*before, last))
    assert "{" not in everything
    assert ("number" in everything) == (kind is Kind.NUMBER and name not in FOR_TRAINED)


def test_direct_passes_free_text_on_untouched():
    request = ask(" Write a poem.\n")
    assert prompts.load("direct").render(request) == request.messages


@given(st.text().filter(str.strip))
def test_the_question_enters_verbatim(question):
    prompt = parse(SLOTTED + "# user\n<{question}> {n} {format}\n\n# format text\nBe brief, {n}.\n")
    assert prompt.render(ask(question)) == (user(f"<{question}> 50 Be brief, 50."),)


def test_placeholders_in_a_question_are_not_filled():
    prompt = parse(SLOTTED + "# user\n{question}\n{n}\n")
    assert prompt.render(ask("{n} {question} {{x}} {format} \\boxed{5}"))[0].text.startswith("{n} {question} {{x}} {fo")


def test_doubled_braces_are_literal():
    prompt = parse(HEADER + "# user\n{question} Use \\boxed{{}} or {{n}} or {1}.")
    assert prompt.render(ask("Q"))[0].text == "Q Use \\boxed{} or {n} or {1}."


def test_only_the_last_user_message_is_wrapped():
    earlier = (Message(Role.SYSTEM, "S"), user("first"), Message(Role.ASSISTANT, "reply"))
    prefix = Message(Role.ASSISTANT, "so far")
    request = Request((*earlier, user("second"), prefix))
    prompt = parse(HEADER + "# user\nExample\n# assistant\nDone\n# user\n{question}!\n")
    example = (user("Example"), Message(Role.ASSISTANT, "Done"))
    assert prompt.render(request) == (*earlier, *example, user("second!"), prefix)


def test_a_system_text_leads_or_joins_the_requests_own():
    prompt = parse(HEADER + "# system\nBe brief.\n# user\n{question}\n")
    assert prompt.render(ask("Q")) == (Message(Role.SYSTEM, "Be brief."), user("Q"))
    own = Request((Message(Role.SYSTEM, "You sell shoes."), user("Q")))
    assert prompt.render(own) == (Message(Role.SYSTEM, "You sell shoes.\n\nBe brief."), user("Q"))


def test_the_format_follows_the_kind_and_leaves_no_gap():
    prompt = parse(HEADER + "# user\n{question}\n\n{format}\n\n# format number\nA number.\n")
    assert prompt.render(ask("Q", Kind.NUMBER))[0].text == "Q\n\nA number."
    assert prompt.render(ask("Q", Kind.CHOICE))[0].text == "Q"


def test_slots_are_typed_and_bounded():
    prompt = parse(SLOTTED + "# user\n{question} {n}\n")
    (slot,) = prompt.slots
    assert (slot.name, slot.default, slot.low, slot.high, slot.description) == ("n", 50, 1, 100, "word budget")
    assert prompt.render(ask("Q"), n=7)[0].text == "Q 7"
    for wrong in (0, 101, 5.0, "7", True):
        with pytest.raises(ConfigError, match="1 to 100") as caught:
            prompt.render(ask("Q"), n=wrong)
        assert caught.value.field == "n"
    with pytest.raises(UnknownName, match="mine"):
        prompt.render(ask("Q"), words=7)


def test_closings_start_a_paragraph_and_fit_the_kind():
    for kind in Kind:
        assert prompts.closing(ask("Q", kind)).startswith("\n\nThe answer is")
        assert prompts.waiting(ask("Q", kind)) == "\n\nWait"
    assert prompts.closing(ask("Q", Kind.CHOICE)).endswith("(")
    with pytest.raises(ConfigError, match="closing number"):
        prompts.load("cot").closing(Kind.NUMBER)
    with pytest.raises(ConfigError, match="# user"):
        prompts.load("closing").render(ask("Q"))


def test_unknown_names_name_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'cot'"):
        prompts.load("cott")


@pytest.mark.parametrize("name", ["cod", "CoD", "COD"])
def test_a_name_with_two_meanings_tells_both(name):
    with pytest.raises(UnknownName, match=r"chain_of_draft \(shorter.*chain_of_density \(denser") as caught:
        prompts.load(name)
    assert caught.value.nearest is None


DRAFTED = HEADER.replace("here\n", 'here\nslot draft: text "what was said"\n')
TURNS = "# user\n{question}\n# assistant\n{draft}\n# user\nAgain. {format}\n\n# format number\nA number.\n"


@given(st.text().filter(str.strip), st.text().filter(str.strip))
def test_what_was_said_enters_verbatim(question, draft):
    prompt = parse(DRAFTED + TURNS)
    assert prompt.follows
    turns = (user(question), Message(Role.ASSISTANT, draft), user("Again. A number."))
    assert prompt.render(ask(question, Kind.NUMBER), draft=draft) == turns


def test_a_further_turn_keeps_the_conversation_and_drops_the_prefix():
    earlier = (Message(Role.SYSTEM, "S"), user("first"), Message(Role.ASSISTANT, "reply"))
    request = Request((*earlier, user("second"), Message(Role.ASSISTANT, "so far")))
    turns = parse(DRAFTED + TURNS).render(request, draft="said")
    assert turns == (*earlier, user("second"), Message(Role.ASSISTANT, "said"), user("Again."))


@pytest.mark.parametrize("given_", [{}, {"draft": ""}, {"draft": " "}, {"draft": 3}])
def test_a_text_that_is_missing_is_refused(given_):
    with pytest.raises(ConfigError, match="what was said") as caught:
        parse(DRAFTED + TURNS).render(ask("Q"), **given_)
    assert caught.value.field == "draft"


@pytest.mark.parametrize("name", FOLLOWING)
@pytest.mark.parametrize("kind", Kind)
def test_further_turns_fit_every_kind(name, kind):
    prompt = prompts.load(name)
    assert prompt.follows
    assert name not in prompts.names()
    words = {"words": 17} if "words" in {slot.name for slot in prompt.slots} else {}
    first, said, again = prompt.render(ask("What now?", kind), draft="So {x}.", **words)
    assert (first.text, said.text, said.role) == ("What now?", "So {x}.", Role.ASSISTANT)
    assert "{" not in again.text
    assert ("17 words" in again.text) == bool(words)
    if name != "chain_of_density_round":
        assert '"The answer is"' in again.text


def test_a_users_file_is_read_from_its_path(tmp_path):
    path = tmp_path / "mine.md"
    path.write_bytes((HEADER + "# user\n{question}?\n").replace("\n", "\r\n").encode("utf-8-sig"))
    prompt = prompts.load(str(path))
    assert (prompt.id, prompt.version, prompt.description, prompt.source) == ("mine", 3, "A test.", "here")
    assert prompt.hash == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert prompt.render(ask("Q")) == (user("Q?"),)
    with pytest.raises(DataError, match=r"gone\.md"):
        prompts.load(str(tmp_path / "gone.md"))


BODY = "# user\n{question}\n"
MALFORMED = {
    "empty": ("", 1),
    "no header": (BODY, 1),
    "open header": ("---\nid: mine\n", 2),
    "not a pair": (HEADER.replace("id: mine", "id mine") + BODY, 2),
    "unknown key": (HEADER.replace("source", "sauce") + BODY, 5),
    "missing key": (HEADER.replace("source: here\n", "") + BODY, 5),
    "key twice": (HEADER.replace("version: 3", "id: other") + BODY, 3),
    "version": (HEADER.replace("3", "1.2") + BODY, 3),
    "slot type": (SLOTTED.replace("int =", "str =") + BODY, 6),
    "slot default": (SLOTTED.replace("= 50", "= 500") + BODY, 6),
    "slot name": (SLOTTED.replace("slot n", "slot format") + BODY, 6),
    "unused slot": (SLOTTED + BODY, 0),
    "text slot": (DRAFTED.replace('text "', 'text = "') + TURNS, 6),
    "unused text": (DRAFTED + BODY, 0),
    "no question anywhere": (DRAFTED + TURNS.replace("{question}", "Hi"), 12),
    "question in an example": (HEADER + "# user\n{question}\n# assistant\nHi\n# user\nAgain.\n", 11),
    "text before a section": (HEADER + "Hello\n" + BODY, 7),
    "unknown section": (HEADER + "# robot\nHi\n" + BODY, 7),
    "unknown kind": (HEADER + BODY + "# format colour\nRed\n", 9),
    "kind twice": (HEADER + BODY + "# format text\nA\n# format text\nB\n", 11),
    "empty section": (HEADER + BODY + "# format text\n\n", 9),
    "unknown placeholder": (HEADER + BODY + "and {m}\n", 9),
    "no question": (HEADER + "# user\nHi\n", 7),
    "no turns": (HEADER + "# format text\nHi\n", 0),
    "late system": (HEADER + BODY + "# system\nHi\n", 9),
    "two users": (HEADER + "# user\nHi\n" + BODY, 9),
    "assistant last": (HEADER + BODY + "# assistant\nHi\n", 9),
}


@pytest.mark.parametrize(("text", "line"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_with_the_line(text, line):
    with pytest.raises(DataError, match=r"mine\.md") as caught:
        parse(text)
    assert caught.value.line == line


def test_bytes_that_are_not_text_are_refused():
    with pytest.raises(DataError, match="UTF-8"):
        prompts.parse(b"---\n\xff\n", "mine.md")


ORIGIN = "here\nparent: cot 0123456789abcdef\nmeasured tiny: 61.2 % [57.0, 65.3], 83.5 tokens, n = 504, gsm, seed 7\n"
MEASURED = HEADER.replace("here\n", ORIGIN)


def test_where_it_comes_from_and_what_it_was_worth():
    prompt = parse(MEASURED + "# user\n{question}")
    assert prompt.parent == "cot 0123456789abcdef"
    [found] = prompt.measured
    assert found == prompts.Measurement("tiny", 0.612, 0.57, 0.653, 83.5, 504, "gsm, seed 7")
    assert found.told() == "61.2 % [57.0, 65.3], 83.5 tokens, n = 504, gsm, seed 7"


@pytest.mark.parametrize(
    "line",
    [
        "measured tiny: 61 %",
        "measured : 61.2 % [57.0, 65.3], 83 tokens, n = 504, gsm",
        "measured tiny: 61.2 % [62.0, 65.3], 83 tokens, n = 504, gsm",
        "measured tiny: 6.1.2 % [57.0, 65.3], 83 tokens, n = 504, gsm",
    ],
)
def test_what_is_no_measurement_is_refused(line):
    with pytest.raises(DataError, match="line 6"):
        parse(HEADER.replace("here\n", f"here\n{line}\n") + "# user\n{question}")


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\ufffc"), min_size=1).filter(str.strip))
def test_an_exported_prompt_asks_what_the_prompt_asks(question):
    for name in prompts.names():
        prompt = prompts.load(name)
        wanted = [{"role": m.role.value, "content": m.text} for m in prompt.render(ask(question, Kind.NUMBER))]
        module = {}
        exec(export.as_python(prompt, Kind.NUMBER), module)
        assert module["messages"](question) == wanted
        messages = json.loads(export.as_json(prompt, Kind.NUMBER))
        assert [{**m, "content": m["content"].format(question=question)} for m in messages] == wanted


def test_a_further_turn_cannot_be_exported():
    for write in (export.as_json, export.as_python, export.as_dspy):
        with pytest.raises(ConfigError, match="draft"):
            write(prompts.load(FOLLOWING[0]), Kind.TEXT)


def test_an_export_for_dspy_is_python_and_names_both_fields():
    told = export.as_dspy(prompts.load("cot"), Kind.NUMBER)
    compile(told, "cot.py", "exec")
    assert "class Cot(dspy.Signature):" in told
    assert "Think step by step." in told
    assert "{question}" not in told


class Dspy(ModuleType):
    """As much of dspy as an export touches."""

    Signature = object
    InputField = OutputField = staticmethod(lambda: None)

    class Example(dict):
        def __init__(self, **fields):
            super().__init__(fields)

        def with_inputs(self, *names):
            return self, names

    class Predict:
        def __init__(self, signature):
            self.signature, self.demos = signature, []


@pytest.mark.parametrize("name", prompts.names())
@pytest.mark.parametrize("kind", Kind)
def test_an_export_for_dspy_tells_all_that_the_prompt_tells(name, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "dspy", Dspy("dspy"))
    module = {}
    exec(export.as_dspy(prompts.load(name), kind), module)
    predict = module["predict"]
    *turns, last = prompts.load(name).render(ask("What now?", kind))
    system = [turn.text for turn in turns if turn.role is Role.SYSTEM]
    shots = [turn.text for turn in turns if turn.role is not Role.SYSTEM]
    asked = last.text.removeprefix("What now?").strip()
    assert predict.signature.__doc__ == "\n\n".join([*system, asked]).strip()
    assert [example for example, _ in predict.demos] == [
        {"question": question, "answer": answer} for question, answer in zip(shots[::2], shots[1::2], strict=True)
    ]
    assert all(inputs == ("question",) for _, inputs in predict.demos)
