"""What is repeated of an error of a library in a message of one line."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 300 characters; its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
