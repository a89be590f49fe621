"""Control: decide the plan."""
