"""Days of the week and leap years, written out."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30)


def weekdays(entry: Mapping[str, Any]) -> list[str] | None:
    """calendar_arithmetic: leap years, and weekdays by counting the days from one that is known."""
    data = entry["metadata"]
    if data["task"] == "is_leap_year":
        return leap(data["year"])
    if data["task"] == "weekday_of_date_from_first_date":
        return counted(data["first_day"], datetime.date.fromisoformat(data["target_date"]), str(entry["answer"]))
    if data["task"] == "weekday_of_date":
        date = datetime.date.fromisoformat(data["target_date"])
        return counted(DAYS[datetime.date(date.year, 1, 1).weekday()], date, str(entry["answer"]))
    return None


def leap(year: int) -> list[str]:
    """Divisible by 4, but not by 100 unless by 400."""
    lines = []
    for divisor in (4, 100, 400):
        lines.append(f"{year} = {year // divisor} * {divisor} + {year % divisor}")
        if (divisor < 400 and year % divisor) or divisor == 400:
            return lines
    return lines


def counted(first: str, date: datetime.date, answer: str) -> list[str] | None:
    """Days since the first of January, and what is left of whole weeks."""
    if date.month > 2 and date.year % 4 == 0:
        return None
    lines, total = [f"January 1 is a {first}"], 0
    for month in _LENGTHS[: date.month - 1]:
        lines += [f"{total} + {month} = {total + month}"] if total else []
        total += month
    days = total + date.day - 1
    lines.append(f"{total} + {date.day - 1} = {days}")
    lines.append(f"{days} = {days // 7} * 7 + {days % 7}")
    name = DAYS[(DAYS.index(first) + days) % 7]
    lines.append(f"{first} + {days % 7} = {name}")
    return lines if name == answer else None
