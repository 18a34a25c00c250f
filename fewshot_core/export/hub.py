"""Upload an export to the Hugging Face Hub. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.runs.ownership import MARKER

TOKEN_FIX = "set HF_TOKEN, or run `hf auth login`, with a token that may write"


class HubError(FewshotError):
    """The Hub cannot be reached, or it refuses."""


def check_repository(name: str) -> None:
    """Require the name of a repository, and a token to write there. Nothing is asked of the Hub.

    Raises:
        RecipeError: It is no name USER/NAME.
        HubError: There is no token.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    fix = "push_to_hub=USER/NAME"
    if name.count("/") != 1:
        raise RecipeError("push_to_hub is no name of a repository", found=repr(name), fix=fix)
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise RecipeError(
            "push_to_hub is no name of a repository", found=str(error), fix=fix
        ) from None
    if get_token() is None:
        raise HubError("there is no token for the Hugging Face Hub", fix=TOKEN_FIX)


def upload(folder: Path, name: str, private: bool) -> str:
    """Upload a folder, and make the repository where there is none.

    The marker by which this program knows its own folders stays behind, and so do the compiled
    files of Python.

    Args:
        folder: The export, whole.
        name: USER/NAME.
        private: Whether a repository that is made shows itself to nobody else.

    Returns:
        The address of the repository.

    Raises:
        HubError: It is not reached, or it refuses. The folder stays as it is.
    """
    from huggingface_hub import HfApi, errors

    # What says that the Hub was not reached derives from OSError or from a class of its client.
    unreached = (OSError, getattr(errors, "HTTPError", OSError))
    try:
        api = HfApi(library_name="fewshot-nas")
        address = api.create_repo(name, private=private, exist_ok=True, repo_type="model")
        # One that was there before keeps its own visibility.
        if private and not api.model_info(name).private:
            raise HubError(
                _kept(folder, name),
                found="a repository that everybody sees",
                fix="make it private on the Hub, choose another name, or leave out private=true",
            )
        with _without_bars():
            api.upload_folder(
                repo_id=name,
                folder_path=folder,
                commit_message="Upload the export of a search",
                ignore_patterns=[MARKER, "__pycache__/*", "*.pyc"],
            )
    except errors.HfHubHTTPError as error:
        raise _refused(folder, name, error) from None
    except errors.LocalTokenNotFoundError:
        raise HubError(_kept(folder, name), found="no token", fix=TOKEN_FIX) from None
    except (ValueError, RuntimeError) as error:  # of its client: a card that it does not take
        raise HubError(_kept(folder, name), found=str(error)) from None
    except unreached as error:
        raise HubError(
            _kept(folder, name),
            found=f"the Hub was not reached: {str(error) or type(error).__name__}",
            fix="run the same command again when there is a connection",
        ) from None
    return str(address)


@contextmanager
def _without_bars() -> Iterator[None]:
    """A line tells of the end; bars of a library would run through other lines."""
    from huggingface_hub import utils

    before = utils.are_progress_bars_disabled()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            utils.enable_progress_bars()


def _refused(folder: Path, name: str, error: Exception) -> HubError:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    said = getattr(error, "server_message", None) or str(error).splitlines()[0]
    fix = "run the same command again later"
    if status in (401, 403):
        fix = f"{TOKEN_FIX} to {name.partition('/')[0]}"
    elif status is not None and status < 500:
        fix = "mend what the Hub names, and run the same command again"
    return HubError(_kept(folder, name), found=f"the Hub answered {status}: {said}", fix=fix)


def _kept(folder: Path, name: str) -> str:
    return f"the export is whole in {folder}, but was not uploaded to {name}"
