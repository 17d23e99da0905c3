"""What requests made from the OpenAPI document look like, where a schema cannot say it."""

from typing import Any

import schemathesis


def _whole(value: Any) -> Any:
    """JSON Schema takes 60.0 for an integer; every encoder of ours and of our users' writes whole numbers as 60."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


@schemathesis.hook
def map_body(ctx: schemathesis.HookContext, body: Any) -> Any:
    return _whole(body)
