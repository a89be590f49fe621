"""A tuned prompt survives its file, whatever a model wrote."""

from hypothesis import given
from hypothesis import strategies as st

from poise import prompts
from poise.core import Request
from poise.tune.emit import REFLECTION, prompt_file, tidy

WRITTEN = st.lists(
    st.one_of(st.sampled_from(["# Task", "# user", "---", "{question}", "{{n}}", "{ x }", "#", "```", ""]), st.text()),
    min_size=1,
).map("\n".join)


@given(WRITTEN.map(tidy).filter(bool))
def test_what_was_measured_is_what_the_file_says(text):
    found = prompts.parse(prompt_file("mine", text, "Think.", source=REFLECTION).encode(), "mine.md")
    assert found.render(Request.ask("What?"))[0].text == f"What?\n{text}"
    assert "GEPA" in found.source


def test_a_heading_goes_one_level_down():
    assert tidy("  # Task\r\nAdd.\n## Then\n# user\n ") == "## Task\nAdd.\n## Then\n## user"
    assert tidy(tidy("# a\n#b")) == tidy("# a\n#b") == "## a\n#b"
