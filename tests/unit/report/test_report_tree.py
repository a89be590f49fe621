import io

from rich.console import Console

from poise.core import Draft, Finish, Kind, Request, Rule, Score, Step, Stopped, Value
from poise.costs import Usage
from poise.records import Recorded
from poise.report.nodes import Fate, grow
from poise.report.tree import trace_tree
from poise.seams import Plan
from poise.trace import Drawn, Failed, Launched, Opened, Picked, Scored, Trace


def shown(trace):
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(trace_tree(trace, 72))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def opened(question="What is 2 + 2?"):
    return Opened(Request.ask(question, Kind.NUMBER), Plan(Recorded("vote", ()), because="deadline 3 s"), 0, 0.0)


def launched(id, parent=0, at=0.0):
    return Launched(at, id, parent, "main", "tiny", 64, id)


def drawn(id, text, value=None, parent=0, finish=Finish.EOS, at=1.0, tokens=9):
    found = Value(value, Rule.ANSWER_IS) if value else None
    usage = Usage(1, 20, 0, tokens, busy_seconds=0.5, flops=1e9)
    return Drawn(at, Step(id, parent, Draft(text, finish, tokens), found), usage, 0.2)


def fan():
    return Trace([
        opened(), launched(1), launched(2), launched(3), launched(4), launched(5),
        drawn(1, "It is 4.\nSure.", "4"), drawn(2, "Five", "5", at=1.25), drawn(3, "It", finish=Finish.CLOSED, at=1.5),
        Failed(1.5, 4, "EngineSilent", "no byte for 30 s", Usage(1, 20)),
        Scored(1.6, 1, "judge", Score(0.75, Usage(scorer_tokens=12))),
        Scored(1.7, 2, "judge", Score(0.0, failure="no verdict")),
        Picked(1.75, 1, 0.5, 2, Stopped.AGREED),
    ])  # fmt: skip


def test_a_fan_of_draws():
    assert (
        shown(fan())
        == """\
What is 2 + 2?
vote  deadline 3 s
├── ● #1  It is 4.  9 tok eos  = 4 [answer is]  judge 0.75  1 s
├── ○ #2  Five  9 tok eos  = 5 [answer is]  judge: no verdict  1.25 s
├── ○ #3  It  9 tok closed  1.5 s
├── ○ #4  EngineSilent: no byte for 30 s  1.5 s
├── ○ #5  never came back
└── stopped: agreed; picked #1 after 2 votes, confidence 0.50
    4 calls · 80 prompt + 27 new + 12 scorer tokens · span 1.75 s, work 1.5 s · 3 GFLOP
    1 of 5 draws failed, 1 of 2 scores failed: answered without them"""
    )


def test_a_chain_stays_at_one_level_and_branches_hang():
    trace = Trace([
        opened(), *(launched(id, id - 1) for id in (1, 2)), launched(3, 2), launched(4, 2), launched(5, 4),
        *(drawn(id, f"step {id}", parent=id - 1, finish=Finish.DELIMITER) for id in (1, 2)),
        drawn(3, "left", "4", 2), drawn(4, "right", None, 2, Finish.DELIMITER), drawn(5, "on", "7", 4),
        Picked(1.0, 5, None, 1, Stopped.DONE),
    ])  # fmt: skip
    assert shown(trace).splitlines()[2:-2] == [
        "├── ● #1  step 1  9 tok delimiter  1 s",
        "├── ↳ ● #2  step 2  9 tok delimiter  1 s",
        "│   ├── ○ #3  left  9 tok eos  = 4 [answer is]  1 s",
        "│   └── ● #4  right  9 tok delimiter  1 s",
        "│       └── ● #5  on  9 tok eos  = 7 [answer is]  1 s",
    ]


def test_a_long_chain_needs_no_recursion():
    trace = Trace([opened(), *(drawn(id, "x", parent=id - 1) for id in range(1, 1200))])
    assert "#1199" in shown(trace)


def test_nothing_the_model_writes_is_obeyed():
    trace = Trace([opened("[red]hi[/red]\x1b[2J"), drawn(1, "[bold]x[/bold]\x1b]0;t\x07 [link=x]", "[/]")])
    text = shown(trace)
    assert "[red]hi[/red]" in text
    assert "[bold]x[/bold]" in text
    assert "= [/]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_trace_without_a_pick_says_so():
    text = shown(Trace([opened(), launched(1), Failed(0.5, 1, "EngineUnreachable", "connection refused")]))
    assert "no answer: the run ended without a pick" in text
    assert "EngineUnreachable: connection refused" in text
    assert "a trace without its opening" in shown(Trace())


def test_agreement_is_equality_of_values_not_of_texts():
    agrees = {node.id: node.agrees for node in grow(Trace([
        opened(), drawn(1, "a", "0.5"), drawn(2, "b", "1/2"), drawn(3, "c", "2"), drawn(4, "d"),
        Picked(1.0, 1, None, 1, Stopped.DONE),
    ]))}  # fmt: skip
    assert agrees == {1: True, 2: True, 3: False, 4: None}


def test_fates():
    assert [node.fate for node in grow(fan())] == [Fate.DRAWN, Fate.DRAWN, Fate.CLOSED, Fate.FAILED, Fate.LOST]


def test_what_failed_is_said():
    assert "1 of 5 draws failed, 1 of 2 scores failed: answered without them" in shown(fan())


def test_reading_again_is_said_where_steps_go_on():
    """20 tokens of question, 9 a step; the second draw reads 29 of which 15 were cached."""
    again = Drawn(2.0, Step(2, 1, Draft("So 4.", Finish.EOS, 9)), Usage(1, 29, 15, 9), 1.0)
    trace = Trace([opened(), launched(1), drawn(1, "2 + 2\n"), launched(2, 1), again])
    assert trace.prefix_reads == (20 + 9 + 14 + 9) / (20 + 9 + 9)
    assert "each token read 1.37 times" in shown(trace)
    assert "each token" not in shown(fan())
    assert Trace([opened()]).prefix_reads is None
