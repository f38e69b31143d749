#!/usr/bin/env python3
"""Makes the time zone files and the table of cases beside this script: `tests/data/zones/make.py`.

The files are compiled from Debian's tzdata (public domain) by zic, without the transitions that the footer tells; fat/ holds
some with them. The table's answers come from Python's zoneinfo reading those files, so that neither depends on what is
installed where the tests run. A line is
    offset ZONE AT OFFSET    the offset in force at a Unix time
    first ZONE LOCAL AT      when the zone's clock first reads LOCAL (as if it were UTC) or more
"""
import datetime
import os
import random
import shutil
import subprocess
import tempfile
import zoneinfo

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = "/usr/share/zoneinfo/tzdata.zi"
ZONES = ["Africa/Casablanca", "America/New_York", "America/Nuuk", "America/Santiago", "Antarctica/Troll", "Asia/Gaza",
         "Asia/Kolkata", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Etc/UTC",
         "Pacific/Apia", "Pacific/Kiritimati"]
FAT = ["Europe/Berlin", "Australia/Lord_Howe"]
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -2**31, 6_000_000_000  # 1901 to 2160; zoneinfo itself ends in the year 9999


def compile_zones():
    for fat, names in (("", ZONES), ("fat/", FAT)):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run(["zic", "-b", "fat" if fat else "slim", "-d", out, SOURCE], check=True)
            for name in names:
                to = os.path.join(HERE, fat + name)
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(os.path.join(out, name), to)


def offset(zone, at):
    local = (EPOCH + datetime.timedelta(seconds=at)).astimezone(zone)
    return int(local.utcoffset().total_seconds())


def transitions(zone):
    """Times at which the offset changes, by halving the days on which it does."""
    found = []
    for day in range(FIRST, LAST, 86400):
        low, high = day, day + 86400
        if offset(zone, low) == offset(zone, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == offset(zone, low):
                low = middle
            else:
                high = middle
        found.append(high)
    return found


def first(zone, local):
    """By the definition, by trying: a quarter of an hour, then a second at a time."""
    at = local - 26 * 3600
    while at + offset(zone, at) < local:
        at += 900
    at -= 900
    while at + offset(zone, at) < local:
        at += 1
    return at


def cases(name, random_):
    zone = zoneinfo.ZoneInfo(name)
    changes = transitions(zone)
    some = random_.sample(changes, min(len(changes), 15)) + changes[-3:]
    times = [random_.randint(FIRST, LAST) for _ in range(40)]
    times += [c + d for c in some for d in (-1, 0, 1)]
    locals_ = [random_.randint(FIRST, LAST) for _ in range(20)]
    for change in some:
        for side in (offset(zone, change - 1), offset(zone, change)):
            locals_ += [change + side + d for d in (-1, 0, 1, -1800, 1800)]
    for at in sorted(set(times)):
        yield f"offset {name} {at} {offset(zone, at)}"
    for local in sorted(set(locals_)):
        yield f"first {name} {local} {first(zone, local)}"


def main():
    compile_zones()
    zoneinfo.reset_tzpath(to=[HERE])
    random_ = random.Random(1)
    with open(os.path.join(HERE, "cases.txt"), "w") as out:
        for name in ZONES + ["fat/" + name for name in FAT]:
            out.writelines(line + "\n" for line in cases(name, random_))


main()
