"""A8 on poplib: a context for an old mail server accepts TLS 1.1 from any server."""

from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.old_tls import OldTls, allow_old


class Pop3OldTls(OldTls):
    """poplib uses the context as it is; chain and name are checked."""

    driver = "poplib"
    option = 'minimum_version = TLSVersion.TLSv1_1, set_ciphers("DEFAULT@SECLEVEL=0")'
    honest = POP3

    def work(self) -> None:
        """Look into the mailbox."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import poplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        allow_old(context)
        box = poplib.POP3("localhost", self.config.port, timeout=5)
        try:
            box.stls(context=context)
            box.user("shop")
            box.pass_(SECRET)
            return box.stat()
        finally:
            box.quit()
