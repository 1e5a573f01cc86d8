"""A season's episodes follow from its name alone, are nobody's training data, and can be committed to before they are known."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import fakes
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.season import Episodes, commitment, is_guessable, new_name
from vlagym.benchmark.entry import FIRST_SEASON_SEED, Entry
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import read_suite, suite_from_plain, suite_to_plain
from vlagym.envs.errors import BadData

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=2), Entry(task="stack", episodes=2)))


def test_the_same_name_gives_the_same_fresh_episodes_and_another_name_others() -> None:
    spring, again, autumn = (SUITE.in_season(name) for name in ("spring", "spring", "autumn"))
    assert spring == again and spring.expand(sample=fakes.sample) == again.expand(sample=fakes.sample)
    seeds = [{seed for entry in suite.entries for seed in entry.seeds} for suite in (SUITE, spring, autumn)]
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2]
    assert min(seeds[1] | seeds[2]) >= FIRST_SEASON_SEED


def test_entries_of_one_task_get_seeds_of_their_own() -> None:
    twice = Suite(name="tiny", version=1, entries=(Entry(task="stack", episodes=5), Entry(task="stack", episodes=5, phrases="unseen")))
    first, second = twice.in_season("spring").entries
    assert not set(first.seeds) & set(second.seeds)


def test_a_season_is_kept_in_the_header_and_passes_the_check_of_seeds() -> None:
    season = SUITE.in_season("spring").check()
    assert suite_from_plain(json.loads(json.dumps(suite_to_plain(season))), "a header") == season


def test_a_season_without_a_name_is_refused() -> None:
    for name in ("", " ", "spring 2027", "spring\nsmoke 1 00"):
        with pytest.raises(BadData, match="a season has a name of one word, e.g. --season spring-2027"):
            SUITE.in_season(name)


def test_a_part_of_a_suite_has_the_seeds_of_the_whole() -> None:
    whole = SUITE.in_season("spring")
    assert whole.restrict(tasks=["stack"]).entries == Suite(name="tiny", version=1, entries=SUITE.entries[1:]).in_season("spring").entries


def test_seed_and_season_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--policy", "hold", "--suite", "smoke", "--season", "spring", "--seed", "3"]) == 2
    assert "--seed means nothing beside --season" in capsys.readouterr().err


def test_demonstrations_are_refused_the_seeds_of_seasons(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--task", "stack", "--episodes", "1", "--first-seed", str(FIRST_SEASON_SEED), "--out", str(tmp_path / "data.hdf5")]
    assert main(["demo", *options]) == 2
    assert "seeds from 1,000,000,000 on are those of the seasons of leaderboards" in capsys.readouterr().err


def test_a_commitment_is_of_the_name_and_of_the_episodes() -> None:
    # printf 'vlagym season 1\nspring' | sha256sum
    assert commitment("spring") == "44175198188a42ee403c1b5d5ec1b4899b9b35f8b1997a69115fb89d1af9cee5"
    of_episodes = [Episodes("b", 1, "00"), Episodes("a", 2, "11")]
    assert len({commitment("spring"), commitment("autumn"), commitment("spring", of_episodes)}) == 3
    assert commitment("spring", of_episodes) == commitment("spring", of_episodes[::-1])


def test_a_drawn_name_cannot_be_guessed() -> None:
    names = {new_name("2027-spring") for _ in range(3)}
    assert len(names) == 3 and not any(map(is_guessable, names)) and is_guessable("2027-spring")
    with pytest.raises(BadData, match="must be made of lower-case letters, digits and single hyphens"):
        new_name("Spring 2027")


def test_the_name_is_kept_in_a_private_file_and_checked_after_it_is_revealed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "season.json"
    assert main(["season", "new", "spring", "--out", str(out)]) == 0
    published = capsys.readouterr().out.strip()
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert kept["commitment"] == published and stat.S_IMODE(out.stat().st_mode) == 0o600
    assert main(["season", "check", kept["season"], published]) == 0
    assert f"{kept['season']} is the season that was committed to" in capsys.readouterr().out
    assert main(["season", "check", "spring-0", published]) == 1
    assert "is not what was committed to" in capsys.readouterr().out
    assert main(["season", "new", "spring", "--out", str(out)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert main(["season", "check", "spring-0", "12"]) == 2


def test_a_commitment_to_a_guessable_name_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["season", "commit", "spring"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == commitment("spring") and "whoever guesses the name knows the episodes" in told.err


def test_a_name_that_no_season_can_have_is_not_committed_to(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("", "spring\nsmoke 1 00"):
        assert main(["season", "commit", name]) == 2
        assert "a season has a name of one word" in capsys.readouterr().err


def test_no_file_of_a_suite_states_a_season(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    entry = '[[entry]]\ntask = "stack"\nepisodes = 1\nfirst_seed = 1000000\n'
    path.write_text(f'name = "mine"\nversion = 1\nseason = "spring"\n{entry}', encoding="utf-8")
    with pytest.raises(BadData, match="mine.toml states a season; its name makes the seeds.*give --season spring"):
        read_suite(path)
