"""What a stop rule saves: 300 questions of a known law, voted on in full and sequentially. No model needed."""

from poise import Plan, Request
from poise.core import Kind
from poise.engines.scripted import Script, Scripted
from poise.run import solve
from poise.strategies.adaptive_consistency import AdaptiveConsistency, StopRule
from poise.strategies.self_consistency import SelfConsistency
from poise.testing import virtual

engine = Scripted(lambda question: Script((("42", 0.6), ("41", 0.2), ("40", 0.2)), seconds_per_token=0.01))
arms = {
    "fixed 9": SelfConsistency(9),
    "margin 2": AdaptiveConsistency(n=9, slack=0),
    "beta .95": AdaptiveConsistency(n=9, rule=StopRule.BETA, slack=0),
}
for name, strategy in arms.items():
    right = tokens = 0
    for seed in range(300):
        request = Request.ask(f"Question {seed}?", Kind.NUMBER)
        answer = virtual(solve(request, Plan(strategy, (("main", engine.name),)), {engine.name: engine}, seed=seed))
        right += answer.value is not None and answer.value.text == "42"
        tokens += answer.usage.new_tokens + answer.usage.overrun_tokens
    print(f"{name:9} accuracy {right / 300:.3f}  tokens a question {tokens / 300:6.1f}")
