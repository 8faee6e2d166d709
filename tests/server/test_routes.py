"""One table of routes: which endpoint answers, and what is said where none does."""

import pytest

from trainstack.server.http.errors import HttpError
from trainstack.server.http.messages import Request
from trainstack.server.http.routes import Route, RouteTable

TABLE = RouteTable(
    [
        Route(method="GET", path="/", handler="page"),
        Route(method="GET", path="/v2/models/{name}", handler="model"),
        Route(method="POST", path="/v2/models/{name}/infer", handler="infer"),
        Route(method="GET", path=r"/v1/models/{name:[^/:]+}/versions/{version:\d{1,3}}", handler="v1", any_case=True),
        Route(method="POST", path="/v1/models/{name:[^/:]+}:predict", handler="predict", any_case=True),
        Route(method="*", path="/v1{rest:(/.*)?}", handler="malformed"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "handler", "parameters"),
    [
        ("GET", "/", "page", {}),
        ("HEAD", "/", "page", {}),
        ("GET", "/v2/models/a%20b", "model", {"name": "a%20b"}),
        ("POST", "/v2/models/m/infer", "infer", {"name": "m"}),
        ("GET", "/V1/Models/m/VERSIONS/12", "v1", {"name": "m", "version": "12"}),
        ("POST", "/v1/models/m:predict", "predict", {"name": "m"}),
        ("PUT", "/v1/models", "malformed", {"rest": "/models"}),
        ("GET", "/v1/models/m/versions/1234", "malformed", {"rest": "/models/m/versions/1234"}),
        ("GET", "/v1", "malformed", {"rest": ""}),
    ],
)
def test_the_first_route_that_fits_answers(method, path, handler, parameters):
    for _ in range(2):
        route, placeholders = TABLE.find(method, path)
        assert (route.handler, placeholders) == (handler, parameters)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/", 405, "GET"),
        ("GET", "/v2/models/m/infer", 405, "POST"),
        ("DELETE", "/v2/models/m", 405, "GET"),
        ("PUT", "/v1/models/m:predict", 405, "POST"),
        ("GET", "/v2/models/m/x/y", 404, ""),
        ("GET", "/nowhere", 404, ""),
    ],
)
def test_what_no_route_takes_is_an_error(method, path, status, allow):
    with pytest.raises(HttpError) as error:
        TABLE.find(method, path)
    assert (error.value.status, error.value.allow) == (status, allow)


def test_made_up_paths_do_not_fill_the_memory():
    for number in range(1000):
        TABLE.find("GET", f"/v2/models/{number}")
    assert len(TABLE._remembered) <= 256


def test_an_openapi_path_has_values_for_its_placeholders():
    route = Route(method="GET", path="/v1/models/{name:[^/:]+}/versions/{version}", handler=None)
    assert route.template(name="m") == "/v1/models/m/versions/{version}"


def test_a_request_gives_the_parameters_of_its_query():
    request = Request("GET", "/", {}, b"", 0.0, "window=60&name=a%20b&window=90&empty=")
    assert [request.parameter(name) for name in ("window", "name", "empty", "none")] == ["90", "a b", "", None]
