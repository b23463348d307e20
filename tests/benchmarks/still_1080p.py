"""As `still`, with pictures of 1920x1080 at 30 Hz: from a press in the browser to the durable object, while two modalities send."""

from tests.benchmarks import still


def run() -> list[dict[str, object]]:
    """Measure; one row."""
    return still.rows("still-1080p", still.LARGE)
