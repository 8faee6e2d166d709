"""A custom metrics API for a real cluster, as an adapter for Prometheus is one: it reads what the pods themselves say.

The API server asks it through an APIService, a Service and an address of this machine, so the cluster's node is to be
this machine; the autoscaler that asks the API server is the cluster's own.
"""

import datetime
import http.server
import json
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.core.kubernetes_runs import access
from tests.core.services.test_tls import certificate
from tests.waiting import until

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta2"
METRIC = "trainstack_requests_in_flight"
_PATH = f"/apis/{GROUP}/{VERSION}"
_NAME = "custom-metrics"
_LABEL, _VALUE = "trainstack-tests", "custom-metrics"


class CustomMetrics:
    """Serves the metrics of the pods of one namespace, as long as it is entered."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._address = access().core.list_node().items[0].status.addresses[0].address
        self._folder = Path(tempfile.mkdtemp())

    @staticmethod
    def sweep() -> None:
        """Remove what a test has left that was killed: nobody answers for it, and namespaces could not be deleted."""
        subprocess.run(["kubectl", "delete", "apiservice", "-l", f"{_LABEL}={_VALUE}"], capture_output=True, check=True)

    @staticmethod
    def served(path: str = f"/apis/{GROUP}") -> bool:
        """Whether the cluster serves custom metrics, whosever they are."""
        command = ["kubectl", "get", "--raw", path]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def __enter__(self) -> "CustomMetrics":
        chain, key = certificate(self._folder / "pem")
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(chain, key)
        try:
            self._server = http.server.ThreadingHTTPServer((self._address, 0), _handler(self._namespace))
        except OSError:
            pytest.skip("the cluster's node is not this machine")
        self._server.socket = trust.wrap_socket(
            self._server.socket,
            server_side=True,
            # By the connection's own thread: whoever connects and says nothing keeps nobody waiting.
            do_handshake_on_connect=False,
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            self._kubectl("apply", self._way())
            # An API server keeps its connections: one that it made before the proxy knew the way would lead elsewhere.
            until(self._reached)
            self._kubectl("apply", [self._registration()])
            until(lambda: self.served(_PATH))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kubectl("delete", [self._registration(), *self._way()], "--ignore-not-found")
        until(lambda: not self.served(), 30)
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder)

    def _kubectl(self, verb: str, objects: list[dict], *options: str) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        subprocess.run(["kubectl", verb, *options, "-f", "-"], input=text, text=True, capture_output=True, check=True)

    def _reached(self) -> bool:
        """Whether the Service leads here."""
        address = access().core.read_namespaced_service(_NAME, self._namespace).spec.cluster_ip
        try:
            answer = httpx.get(f"https://{address}{_PATH}", verify=False, trust_env=False, timeout=5)
        except httpx.TransportError:
            return False
        return answer.headers.get("server") == _VALUE

    def _way(self) -> list[dict]:
        metadata = {"name": _NAME, "namespace": self._namespace}
        port = {"name": "https", "port": self._server.server_port}
        return [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port["port"]}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**metadata, "labels": {"kubernetes.io/service-name": _NAME}},
                "addressType": "IPv4",
                "ports": [port],
                "endpoints": [{"addresses": [self._address], "conditions": {"ready": True}}],
            },
        ]

    def _registration(self) -> dict:
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}", "labels": {_LABEL: _VALUE}},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"name": _NAME, "namespace": self._namespace},
            },
        }


def _handler(namespace: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def version_string(self) -> str:
            return _VALUE

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            values = f"{_PATH}/namespaces/{namespace}/pods/*/{METRIC}"
            if path.rstrip("/") == _PATH:
                self._say(200, _resources())
            elif urllib.parse.unquote(path) == values:
                selector = urllib.parse.parse_qs(query).get("labelSelector", [""])[0]
                self._say(200, _values(namespace, selector))
            else:
                self._say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def _say(self, status: int, document: dict) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _resources() -> dict:
    name = {"name": f"pods/{METRIC}", "singularName": "", "namespaced": True}
    resource = {**name, "kind": "MetricValueList", "verbs": ["get"]}
    version = f"{GROUP}/{VERSION}"
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [resource]}


def _values(namespace: str, selector: str) -> dict:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {
            "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod.metadata.name, "apiVersion": "/v1"},
            "metric": {"name": METRIC},
            "timestamp": now,
            "value": f"{int(1000 * value)}m",
        }
        for pod in access().core.list_namespaced_pod(namespace, label_selector=selector).items
        if (value := _scraped(pod)) is not None
    ]
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _scraped(pod) -> float | None:
    """What a pod says at the address that its annotations give, as Prometheus would ask it."""
    marks = pod.metadata.annotations or {}
    if marks.get("prometheus.io/scrape") != "true" or not pod.status.pod_ip:
        return None
    address = f"http://{pod.status.pod_ip}:{marks['prometheus.io/port']}{marks['prometheus.io/path']}"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    [family] = [item for item in text_string_to_metric_families(text) if item.name == METRIC]
    return family.samples[0].value
