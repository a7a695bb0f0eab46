"""Receivers with more ways than support.stack.Receiver has: OPTIONS, a token endpoint, TLS with client certificates."""
import datetime
import http.server
import ipaddress
import json
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Hook:
    """Keeps every request; `answer(request)` gives (status, headers, body)."""

    def __init__(self, answer=lambda request: (200, {}, b""), context=None):
        self.requests = []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def take(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                peer = self.connection.getpeercert() if hasattr(self.connection, "getpeercert") else None
                request = {"method": self.command, "path": self.path, "body": body, "peer": peer,
                           "headers": {k.lower(): v for k, v in self.headers.items()}}
                with outer.lock:
                    request["n"] = len(outer.requests)
                    outer.requests.append(request)
                status, headers, reply = answer(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_POST = do_OPTIONS = do_GET = take

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        port = self.server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, method="POST"):
        with self.lock:
            return [r for r in self.requests if r["method"] == method]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def token_endpoint(secret="s3cret", expires_in=3600):
    """An OAuth 2 token endpoint for client credentials; a token a call."""
    def answer(request):
        n = request["n"]
        return 200, {"Content-Type": "application/json"}, json.dumps(
            {"access_token": f"token-{n}-{secret}", "token_type": "Bearer", "expires_in": expires_in}).encode()
    return Hook(answer)


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key.public_key(), True, [])

    def _sign(self, subject, public_key, is_ca, names):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(is_ca, None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name):
        """(certificate, key) as PEM, for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key.public_key(), False, [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (made.public_bytes(serialization.Encoding.PEM).decode(),
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()).decode())

    def server_context(self, tmp_path, client_needed):
        certificate, key = self.issue("receiver")
        (tmp_path / "server.pem").write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(tmp_path / "server.pem"))
        if client_needed:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.pem())
        return context
