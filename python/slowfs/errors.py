"""What can go wrong."""


class SlowfsError(Exception):
    """slowfs refused something, or failed: one line that says what, on what, why, what to do."""


class NotReached(SlowfsError):
    """A fault has not fired, or does not hold, as often as was waited for."""


class SlowfsWarning(UserWarning):
    """What a fault that was set cannot do."""
