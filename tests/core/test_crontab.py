"""Crontabs as text: what cron makes of a line, what differs here, and back again."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core import oracle
from watchbell.core.crontab import Entry, line_of, named, read, warnings_of
from watchbell.core.instants import DAY, parse_instant
from watchbell.core.triggers.cron_trigger import Cron

NOW = parse_instant("2026-11-21T08:00:00Z")
BERLIN = "Europe/Berlin"

# A crontab as people have them; the next 100 instants of each line are compared with a walk through every minute.
THIRTY = r"""
# backups and cleaning
SHELL=/bin/sh
PATH=/usr/local/bin:/usr/bin:/bin
MAILTO=""
30 2 * * * /usr/local/bin/backup --all
0 3 * * 0 /usr/local/bin/backup --full
15 2 * * 1-5 /usr/local/bin/rotate
*/5 * * * * /usr/bin/check-queue
*/20 2 * * * /usr/bin/sync-fast
0 */2 * * * /usr/bin/report
5,35 * * * * /usr/bin/poll
0-30/10 9-17 * * MON-FRI /usr/bin/prices
0 9 * * 1 /usr/bin/weekly
0 9 1 * * /usr/bin/monthly
0 0 1 1 * /usr/bin/yearly
@hourly /usr/bin/hourly
@daily /usr/bin/daily
@weekly /usr/bin/weekly-too
@monthly /usr/bin/monthly-too
0 12 13 * 5 /usr/bin/friday-or-thirteenth
0 12 */2 * 1 /usr/bin/odd-mondays
30 1 * 3,10 * /usr/bin/spring-and-autumn
59 23 28-31 * * /usr/bin/month-end
0 6 * JAN-MAR,DEC SAT,SUN /usr/bin/winter-weekend
10 2 * * 7 /usr/bin/sunday-night
0 2 * * * /usr/bin/two
0 3 * * * /usr/bin/three
59 1 * * * /usr/bin/just-before
*/7 8-9 * * 2 /usr/bin/sevens
0 0,12 * * * /usr/bin/twice
45 23 * * 6 /usr/bin/saturday-night
1-59/2 4 * * * /usr/bin/odd-minutes
0 5 29 2 * /usr/bin/leap
20 4 15 */3 * /usr/bin/quarter
"""
MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}


def test_a_crontab_of_30_lines_is_due_when_a_walk_through_every_minute_says() -> None:
    found = read(THIRTY)
    assert len(found.entries) == 30
    assert found.refused == ()
    start = parse_instant("2026-03-27T00:00:00Z")  # two days before the clocks go forward
    for entry in found.entries:
        trigger, at, ours = Cron(entry.rule, BERLIN), start, []
        while len(ours) < 100 and (following := trigger.next_after(at)) is not None:
            ours.append(at := following)
        words = MACROS.get(entry.rule, entry.rule)
        if ours[-1] - start <= 220 * DAY:
            walked = list(oracle.due(words, BERLIN, start // 1_000_000, ours[-1] // 1_000_000))
        else:
            walked = walk_of_days(words, start // 1_000_000, ours[-1] // 1_000_000)
        assert [at // 1_000_000 for at in ours] == walked, entry.rule


def walk_of_days(words: str, start: int, end: int) -> list[int]:
    """The same walk for what is due over years: day by day, and through the minutes of the days that match."""
    fields, zone, found = oracle.Fields.read(words), ZoneInfo(BERLIN), []
    day, last = datetime.fromtimestamp(start, zone).date(), datetime.fromtimestamp(end, zone).date()
    while day <= last:
        if oracle.matches_date(fields, day):
            midnight = datetime(day.year, day.month, day.day)
            for minute in range(24 * 60):
                at = midnight + timedelta(minutes=minute)
                if fields.of_time(at):
                    found += oracle.real_seconds(at, zone, "end", "first")
        day += timedelta(days=1)
    return [second for second in found if start < second <= end]


def one(text: str, *, system: bool = False) -> Entry:
    found = read(text, system=system)
    assert found.refused == ()
    assert len(found.entries) == 1
    return found.entries[0]


def refusal(text: str, *, system: bool = False) -> str:
    found = read(text, system=system)
    assert found.entries == ()
    return found.refused[0].why


def test_comments_blank_lines_and_spaces_say_nothing() -> None:
    found = read("\n# a comment\n   \n\t 5  4 *\t* *   ls  -l \n")
    assert [(entry.number, entry.rule, entry.command) for entry in found.entries] == [
        (4, "5 4 * * *", "ls  -l")
    ]


def test_variables_hold_for_what_stands_below_them() -> None:
    found = read("0 1 * * * a\nPATH = /bin\n0 2 * * * b\n'LANG'=\" de \"\nEMPTY=\n0 3 * * * c\n")
    assert [dict(entry.env) for entry in found.entries] == [
        {},
        {"PATH": "/bin"},
        {"PATH": "/bin", "LANG": " de ", "EMPTY": ""},
    ]


def test_a_percent_sign_is_where_the_standard_input_begins() -> None:
    entry = one(r"0 1 * * * mail -s 100\% bob%Hello%there, 5\%")
    assert (entry.command, entry.stdin) == ("mail -s 100% bob", "Hello\nthere, 5%\n")
    assert entry.shell == "printf '%s' 'Hello\nthere, 5%\n' | {\nmail -s 100% bob\n}"
    assert any("standard input" in text for text in warnings_of(entry, Cron(entry.rule, "UTC"), NOW))
    assert one("0 1 * * * cat%").stdin == "\n"
    assert one("0 1 * * * cat").stdin is None


def test_a_system_crontab_has_a_user_in_front_of_the_command() -> None:
    entry = one("17 * * * * root cd / && run-parts /etc/cron.hourly", system=True)
    assert (entry.user, entry.command) == ("root", "cd / && run-parts /etc/cron.hourly")
    assert "a user in front" in refusal("17 * * * * ls", system=True)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot /usr/bin/start", "service manager"),
        ("@fortnightly /usr/bin/pay", "@hourly"),
        ("0~59 3 * * * ls", "random"),
        ("60 3 * * * ls", "minute"),
        ("0 0 30 2 * ls", "no date of the calendar"),
        ("0 3 * * *", "five fields and a command"),
        ("hello", "five fields and a command"),
        ("0 3 * * * %only input", "no command"),
    ],
)
def test_a_line_that_cannot_be_taken_over_says_why_and_keeps_no_other_away(line: str, why: str) -> None:
    found = read(f"0 1 * * * before\n{line}\n0 2 * * * behind\n")
    assert [entry.command for entry in found.entries] == ["before", "behind"]
    assert why in found.refused[0].why
    assert (found.refused[0].number, found.refused[0].text) == (2, line)


def test_mail_and_zones_are_noted_by_line() -> None:
    found = read("MAILTO=alice@example.org\nCRON_TZ=Asia/Tokyo\n0 1 * * * a\nTZ=UTC\nMAILTO=\n")
    assert found.entries[0].zone == "Asia/Tokyo"
    assert [note.partition(":")[0] for note in found.notes] == ["line 1", "line 2", "line 4"]
    assert "alert add --tag crontab --email alice@example.org" in found.notes[0]


def told(rule: str, tz: str = BERLIN) -> str:
    return "\n".join(warnings_of(one(f"{rule} ls"), Cron(rule, tz), NOW))


def test_what_debians_cron_does_otherwise_when_the_clocks_change_is_said_with_its_day() -> None:
    assert "2027-03-28" in told("*/20 2 * * *")
    assert told("*/20 2 * * *", "UTC") == ""
    assert told("*/20 9 * * *") == ""  # no clock changes at nine
    assert told("*/20 * * * *") == told("20 2 * * *") == told("0 */2 * * *") == ""


def test_the_trap_of_day_of_month_and_weekday_is_said() -> None:
    assert "joined by OR" in told("0 9 13 * 5")
    assert "must both match" in told("0 9 */2 * 5")
    assert told("0 9 * * 5") == told("0 9 13 * *") == told("@weekly") == ""


def test_a_bash_line_is_carried_out_by_bash() -> None:
    entry = one("SHELL=/bin/bash\n0 1 * * * ls")
    assert entry.program == "/bin/bash"
    assert any("/bin/bash" in text for text in warnings_of(entry, Cron(entry.rule, "UTC"), NOW))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup --all >/dev/null 2>&1", "backup"),
        ("cd /srv/app && ./clean.sh -v", "clean"),
        ("python3 /srv/app/report.py daily", "report"),
        ("LANG=C /usr/bin/du -s /home", "du"),
        ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "run-parts"),
        ("[ -d /x ] && /usr/lib/php/sessionclean", "sessionclean"),
        ("flock -n /tmp/lock /usr/bin/sync-all", "sync-all"),
        ("sudo -u www /usr/bin/wp cron", "wp"),
        ("/usr/bin/env LANG=C sync", "sync"),
        ("nice -n 10 timeout-free", "timeout-free"),
        ("timeout 5m rsync a b", "rsync"),
        ("'/srv/my app/run it'", "my"),
        ("> /dev/null", "dev"),
        ("...", "crontab"),
    ],
)
def test_a_name_comes_from_the_command(command: str, name: str) -> None:
    entry = Entry(1, "@daily", command)
    if name in ("my", "dev"):  # odd ones: any printable name will do
        assert named([entry])[entry].strip()
    else:
        assert named([entry])[entry] == name


def test_two_of_very_many_lines_do_not_get_one_name() -> None:
    """The six letters of a key that stand in a name are the same for two of some thousands of lines."""
    entries = [Entry(n, "@daily", f"/bin/true {n}") for n in range(12_000)]
    assert len({entry.key[:6] for entry in entries}) < len(entries)
    names = named(entries)
    assert len(set(names.values())) == len(entries)
    again = named([entries[0], Entry(0, "@hourly", "/bin/true x")], taken={names[entries[0]], "true"})
    assert again[entries[0]] not in {names[entries[0]], "true"}


LINES = st.lists(
    st.builds(
        Entry,
        st.integers(1, 99),
        st.sampled_from(["@daily", "0 1 * * *", "0 2 * * *"]),
        st.sampled_from(["/bin/a x", "/bin/a y", "/usr/bin/b", "cd /x && c.sh"]),
    ),
    max_size=8,
    unique_by=lambda entry: entry.key,
)


@given(LINES, st.randoms(use_true_random=False))
def test_names_are_unique_and_do_not_depend_on_the_order_of_the_lines(
    entries: list[Entry], draw: object
) -> None:
    names = named(entries)
    assert len(set(names.values())) == len(entries)
    shuffled = list(entries)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert named(shuffled) == names
    assert not set(named(entries, taken=["a", "b"]).values()) & {"a", "b"}


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40
)


@given(TEXT, st.none() | TEXT.map(lambda text: f"{text}\n") | st.just("a\n\nb\n"))
@example("date +%F > '/tmp/x'", "it's 5%\n\\%\n")
@example("a\\", "b\\\n")
def test_a_line_written_is_read_as_it_was(command: str, stdin: str | None) -> None:
    line = line_of("0 1 * * *", Entry(1, "0 1 * * *", command, stdin).shell)
    if line is None:
        bad_input = stdin is not None and stdin[:-1].split("\n")[-1] != stdin[:-1].split("\n")[-1].rstrip()
        pieces = [command, *(stdin or "\n")[:-1].split("\n")[:-1]]
        escaped = stdin is not None and any(piece.endswith("\\") for piece in pieces)
        assert command != command.strip() or bad_input or escaped
        return
    entry = one(line)
    assert (entry.rule, entry.command, entry.stdin) == ("0 1 * * *", command, stdin)


def test_what_no_line_can_hold_has_none() -> None:
    assert line_of("0 1 * * *", "one\ntwo") is None
    assert line_of("0 1 * * *", " led by a blank") is None
    assert line_of("0 1 * * *", "") is None


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_crash(text: str) -> None:
    found = read(text)
    for entry in found.entries:
        Cron(entry.rule, "UTC").next_after(NOW)
    read(text, system=True)
