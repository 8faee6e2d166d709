"""The ceiling: Granian answers each request with a constant, after reading its body."""

HEADERS = [("content-type", "application/json")]
ANSWER = b'{"predictions":[[0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1]]}'


async def app(scope, proto):
    await proto()
    proto.response_bytes(200, HEADERS, ANSWER)
