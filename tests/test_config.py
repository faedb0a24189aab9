from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from hornbook.config import Settings, load_settings, validate
from hornbook.errors import HornbookError


class Training(Settings):
    steps: int = Field(default=10, gt=0)
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)


class Recipe(Settings):
    name: str = "quick"
    training: Training = Training()


def recipe(path: Path, text: str) -> Path:
    file = path / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_then_file_then_overrides(tmp_path: Path) -> None:
    file = recipe(tmp_path, 'name = "mine"\n[training]\nsteps = 5\nlr = 3e-4\n')
    loaded = load_settings(Recipe, file, ["training.steps=7"])
    assert loaded == Recipe(name="mine", training=Training(steps=7, lr=3e-4))
    assert load_settings(Recipe) == Recipe()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.lr=3e-4", Recipe(training=Training(lr=3e-4))),
        ("training.lr=1", Recipe(training=Training(lr=1.0))),
        ("training.betas=[0.8, 0.9]", Recipe(training=Training(betas=(0.8, 0.9)))),
        ("name=path/with=equals", Recipe(name="path/with=equals")),
        ('name="quoted"', Recipe(name="quoted")),
        ("name=", Recipe(name="")),
    ],
)
def test_overrides(override: str, expected: Recipe) -> None:
    assert load_settings(Recipe, None, [override]) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.step=1", r"unknown setting training\.step; did you mean training\.steps"),
        ("trainig.steps=1", "unknown setting trainig; did you mean training"),
        ("zzz=1", "unknown setting zzz; known here: name, training"),
        ("training.steps=0", r"training\.steps: .*greater than 0 \(found 0\)"),
        ("training.steps=1.5", r"training\.steps: .*integer"),
        ("training.steps=many", r"training\.steps: .*integer.*'many'"),
        ("training.lr=nan", r"training\.lr: .*finite"),
        ("training.lr=inf", r"training\.lr: .*finite"),
        ("training=3", "training: "),
        ("name.first=1", "name: "),
        ("noequals", r"expected section\.key=value"),
        ("a..b=1", r"expected section\.key=value"),
        ("=1", r"expected section\.key=value"),
    ],
)
def test_a_mistake_is_explained(override: str, message: str) -> None:
    with pytest.raises(HornbookError, match=message):
        load_settings(Recipe, None, [override])


def test_a_value_is_not_a_section() -> None:
    with pytest.raises(HornbookError, match="'name' is a value, not a section"):
        load_settings(Recipe, None, ["name=x", "name.y=1"])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match="is a directory"):
        load_settings(Recipe, tmp_path)
    with pytest.raises(HornbookError, match=r"none\.toml: no such recipe"):
        load_settings(Recipe, tmp_path / "none.toml")
    with pytest.raises(HornbookError, match=r"recipe\.toml: not valid TOML: .*line 2"):
        load_settings(Recipe, recipe(tmp_path, 'name = "a"\nsteps =\n'))
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HornbookError, match="not UTF-8"):
        load_settings(Recipe, tmp_path / "recipe.toml")


def test_the_source_is_named() -> None:
    with pytest.raises(HornbookError, match=r"^here: unknown setting x"):
        validate(Training, {"x": 1}, "here")


def test_settings_are_frozen_and_strict() -> None:
    settings = Training()
    with pytest.raises(ValidationError):
        settings.steps = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Training(steps="3")  # type: ignore[arg-type]


def test_an_override_drops_what_it_excludes(tmp_path: Path) -> None:
    from hornbook.pipeline.recipe import load_recipe

    path = tmp_path / "recipe.toml"
    path.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    training = load_recipe(path, ["training.steps=7"]).training
    assert (training.steps, training.epochs, training.tokens) == (7, None, None)
