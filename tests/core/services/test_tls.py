"""A service that speaks https, and the certificates that are refused."""

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.server.served import free_port
from tests.waiting import until

from trainstack.core.models import model
from trainstack.core.services import service
from trainstack.core.services.certificate import check_certificate
from trainstack.core.services.service import ServiceRecord, ServiceSpec
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError


def certificate(folder: Path, *options: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("making a certificate takes the program openssl")
    folder.mkdir(parents=True)
    chain, key = folder / "chain.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-subj", "/CN=digits", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run([*command, "-out", str(chain), *(options or ["-nodes"])], check=True, capture_output=True)
    return chain, key


def spec(chain: Path, key: Path, port: int = 0) -> ServiceSpec:
    return ServiceSpec(name="digits", tls_certificate=str(chain), tls_key=str(key), workers=1, port=port)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("pem") / "first")


@pytest.fixture(scope="module")
def https(
    dense: Path, serving_python: Path, pem: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceRecord]:
    workspace = Workspace.create(tmp_path_factory.mktemp("tls") / "workspace", "test")
    zoo = model.register(workspace, model.ModelSpec(name="zoo", framework_version="2.15.1"), dense)
    yield service.start(workspace, spec(*pem, port=free_port()), zoo, serving_python)
    assert service.status(workspace, "digits").state == "healthy"
    service.stop(workspace, "digits")


def predict(record: ServiceRecord, chain: Path) -> httpx.Response:
    trust = ssl.create_default_context(cafile=chain)
    return httpx.post(record.scoring_uri, json={"instances": [[1, 2, 3, 4]]}, verify=trust, trust_env=False)


@pytest.mark.tensorflow
def test_a_service_with_a_certificate_answers_over_https(https: ServiceRecord, pem: tuple[Path, Path]):
    assert https.scoring_uri.startswith("https://127.0.0.1:")
    assert predict(https, pem[0]).json() == {"predictions": [[40.5, 49.0]]}


@pytest.mark.tensorflow
def test_a_large_body_goes_through_https(https: ServiceRecord, pem: tuple[Path, Path]):
    trust = ssl.create_default_context(cafile=pem[0])
    body = {"instances": [[1, 2, 3, 4]] * 100_000}
    answer = httpx.post(https.scoring_uri, json=body, verify=trust, trust_env=False, timeout=60)
    assert len(answer.json()["predictions"]) == 100_000


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_plain_http_and_old_tls_get_no_answer_and_do_no_harm(https: ServiceRecord, pem: tuple[Path, Path]):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{https.port}/healthz", trust_env=False)
    old = ssl.create_default_context(cafile=pem[0])
    old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", https.port), 10) as plain, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(plain, server_hostname="127.0.0.1")
    assert predict(https, pem[0]).status_code == 200
    assert "Traceback" not in https.log.read_text()


@pytest.mark.tensorflow
def test_a_renewed_certificate_is_used_without_a_restart(https: ServiceRecord, pem: tuple[Path, Path], tmp_path: Path):
    before = Path(shutil.copy(pem[0], tmp_path / "before.pem"))
    chain, key = certificate(tmp_path / "renewed")
    chain.replace(pem[0])
    # The key does not fit yet: what was read before is used meanwhile.
    until(lambda: "going on with the certificate before" in https.log.read_text(), 15)
    assert predict(https, before).status_code == 200
    key.replace(pem[1])

    def is_renewed() -> bool:
        with contextlib.suppress(httpx.ConnectError):
            return predict(https, pem[0]).status_code == 200
        return False

    until(is_renewed, 15)
    assert "the certificate was renewed" in https.log.read_text()


@pytest.mark.parametrize(
    ("chain", "key", "field", "reason"),
    [
        ("absent.pem", "key.pem", "tls_certificate", r"absent\.pem is no file"),
        ("chain.pem", "absent.pem", "tls_key", r"absent\.pem is no file"),
        ("text.pem", "key.pem", "tls_certificate", r"text\.pem holds no certificate in PEM form"),
        ("key.pem", "chain.pem", "tls_certificate", r"key\.pem holds no certificate in PEM form"),
        ("chain.pem", "chain.pem", "tls_key", r"chain\.pem holds no private key in PEM form"),
        ("damaged.pem", "key.pem", "tls_certificate", r"damaged\.pem and .*key\.pem are damaged: .+"),
        ("chain.pem", "other.pem", "tls_key", r"other\.pem is not the private key of the certificate in .*chain\.pem"),
        ("chain.pem", "locked.pem", "tls_key", r"locked\.pem is encrypted: .* without a password"),
    ],
)
def test_invalid_certificates_and_keys_are_refused_in_one_line(
    tmp_path: Path, chain: str, key: str, field: str, reason: str
):
    files = tmp_path / "files"
    certificate(files)
    certificate(tmp_path / "other")[1].rename(files / "other.pem")
    certificate(tmp_path / "locked", "-passout", "pass:secret")[1].rename(files / "locked.pem")
    (files / "text.pem").write_text("no certificate")
    (files / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(InvalidInputError, match=f"web service digits: {field} .*{reason}$") as error:
        check_certificate(spec(files / chain, files / key))
    assert "\n" not in str(error.value)
    assert error.value.field == field
