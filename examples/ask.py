"""Ask the embedded model one question and see what it cost."""

import poise

answer = poise.solve("What is 7 + 8?", strategy="self_consistency:n=8", deadline=60)

print("answer     ", answer.value.text if answer.value else answer.text)
print("confidence ", answer.confidence)
print("stopped    ", answer.stopped.value)
print("new tokens ", answer.usage.new_tokens + answer.usage.overrun_tokens, "in", answer.usage.calls, "calls")
print("seconds    ", round(answer.usage.seconds, 2), "span,", round(answer.usage.busy_seconds, 2), "work")
