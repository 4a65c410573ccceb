"""The project's Invoke tasks; `inv --list` shows them."""

from riptide.tasks import namespace

ns = namespace()
