#!/usr/bin/env python3
"""Makes the table of cases beside this script: `tests/data/schedules/make.py`.

A line is `ZONE DAYS FROM TO AT HOLDS NEXT`: does an entry of a schedule hold at a Unix time, and when after it does it next
begin or end. The answers are found by reading the zone's clock minute by minute where it matters, with Python's zoneinfo on
the files in ../zones: an entry begins and ends when the clock first reads its time or more.
"""
import datetime
import os
import random
import zoneinfo

HERE = os.path.dirname(os.path.abspath(__file__))
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# Around changes of the clock in 2026, a day that Samoa skipped, and an ordinary week.
AROUND = {"Europe/Berlin": ["2026-03-29", "2026-10-25", "2040-03-25"], "America/New_York": ["2026-03-08", "2026-11-01"],
          "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"], "Europe/Dublin": ["2026-03-29", "2026-10-25"],
          "Asia/Gaza": ["2026-03-28", "2026-10-31"], "America/Nuuk": ["2026-03-28", "2026-10-24"],
          "Antarctica/Troll": ["2026-03-29", "2026-10-25"], "Pacific/Apia": ["2011-12-30"], "Asia/Kolkata": ["2026-06-01"],
          "America/Santiago": ["2026-04-05", "2026-09-06"], "Etc/UTC": ["2026-06-01"]}


def reading(zone, at):
    """What the zone's clock reads, in seconds since 1970 as if it were UTC."""
    return at + int((EPOCH + datetime.timedelta(seconds=at)).astimezone(zone).utcoffset().total_seconds())


def first(zone, local):
    at = local - 26 * 3600
    while reading(zone, at) < local:
        at += 900
    at -= 900
    while reading(zone, at) < local:
        at += 60
    return at


class Entry:
    def __init__(self, zone, days, begin, end):
        self.zone, self.days, self.begin, self.end = zone, days, begin, end
        self.known = {}

    def span(self, day):
        """From when to when the entry of a day holds, or None; day is a number of days since 1970."""
        if day not in self.known:
            weekday = (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).weekday()
            last = day + (1 if self.end <= self.begin else 0)
            span = (first(self.zone, day * 86400 + self.begin * 60), first(self.zone, last * 86400 + self.end * 60))
            self.known[day] = span if weekday in self.days and span[0] < span[1] else None
        return self.known[day]

    def answer(self, at):
        spans = [self.span(day) for day in range(at // 86400 - 3, at // 86400 + 17)]
        spans = [s for s in spans if s]
        holds = any(begin <= at < end for begin, end in spans)
        return holds, min(edge for s in spans for edge in s if edge > at)


def clock(minutes):
    return f"{minutes // 60:02}:{minutes % 60:02}"


def entries(random_):
    yield "mon-fri", 480, 1200
    yield "mon-sun", 0, 1440
    yield "sat,sun", 1320, 360
    yield "sun", 120, 180
    yield "sun", 150, 160
    yield "fri-mon", 1380, 150
    for _ in range(3):
        days = ",".join(sorted(random_.sample(DAYS, random_.randint(1, 4)), key=DAYS.index))
        yield days, random_.randrange(0, 1440, 15), random_.randrange(0, 1441, 15)


def day_numbers(text):
    numbers = set()
    for piece in text.split(","):
        begin, _, end = piece.partition("-")
        day, last = DAYS.index(begin), DAYS.index(end or begin)
        numbers.add(day)
        while day != last:
            day = (day + 1) % 7
            numbers.add(day)
    return numbers


def main():
    zoneinfo.reset_tzpath(to=[os.path.join(HERE, "..", "zones")])
    random_ = random.Random(2)
    with open(os.path.join(HERE, "cases.txt"), "w") as out:
        for name, dates in AROUND.items():
            for days, begin, end in entries(random_):
                entry = Entry(zoneinfo.ZoneInfo(name), day_numbers(days), begin, end)
                for date in dates:
                    noon = int((datetime.datetime.fromisoformat(date + "T12:00:00+00:00") - EPOCH).total_seconds())
                    times = [noon + random_.randint(-2 * 86400, 2 * 86400) for _ in range(3)]
                    _, edge = entry.answer(noon - 86400)
                    _, after = entry.answer(edge)
                    times += [edge - 1, edge, after - 1, after]
                    for at in sorted(set(times)):
                        holds, after = entry.answer(at)
                        out.write(f"{name} {days} {clock(begin)} {clock(end)} {at} {int(holds)} {after}\n")


main()
