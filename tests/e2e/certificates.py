"""A small public-key world made with the openssl command: one CA that tests trust, one that nobody does, and leaves."""
import ssl
import subprocess


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(map(str, args))}\n{done.stderr}"


class Certificates:
    """Files NAME.crt and NAME.key in one directory. ca signs good, wrong_host, expired and client; unknown_ca signs
    unknown."""

    def __init__(self, directory):
        self.dir = directory
        for name in ("ca", "unknown_ca"):
            _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                     "-subj", f"/CN=mockforge test {name}", "-addext", "basicConstraints=critical,CA:TRUE",
                     "-keyout", self.key(name), "-out", self.crt(name))
        local = "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1"
        self._leaf("good", "ca", local)
        self._leaf("wrong_host", "ca", "DNS:elsewhere.example")
        self._leaf("expired", "ca", local, days=-1)
        self._leaf("unknown", "unknown_ca", local)
        self._leaf("client", "ca", "DNS:client.example")

    def crt(self, name):
        return str(self.dir / f"{name}.crt")

    def key(self, name):
        return str(self.dir / f"{name}.key")

    def _leaf(self, name, issuer, alternative_names, days=30):
        request, extensions = self.dir / f"{name}.csr", self.dir / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative_names}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", self.key(name), "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.crt(issuer), "-CAkey", self.key(issuer),
                 "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", self.crt(name))

    def server(self, name="good", ask_client=False):
        """A server's context with this leaf; ask_client: only clients that `ca` signed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.crt(name), self.key(name))
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.crt("ca"))
        return context

    def client(self):
        """A client's context that trusts `ca`."""
        return ssl.create_default_context(cafile=self.crt("ca"))


def trusting():
    """A client's context that checks nothing, for certificates whose fingerprint the test compares itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
