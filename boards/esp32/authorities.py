"""Writes the certificate authorities that a board shall trust, from this machine's own.

    python boards/esp32/authorities.py OUT.pem [COMMON NAME...]

Without names: those of WANTED. A board keeps them in RAM while it connects, so they are few: add the one that your own
server's certificate comes from (openssl s_client -connect HOST:443 -showcerts names it).
"""

import ssl
import sys
from pathlib import Path

# Who signs for LiveKit Cloud, the large clouds and Let's Encrypt.
WANTED = (
    "ISRG Root X1", "ISRG Root X2", "GTS Root R1", "GTS Root R4", "GlobalSign", "Amazon Root CA 1", "Amazon Root CA 3",
    "DigiCert Global Root G2", "DigiCert Global Root CA", "Sectigo Public Server Authentication Root R46",
    "USERTrust RSA Certification Authority", "USERTrust ECC Certification Authority")


def trusted():
    """{common name: [DER]} of this machine's authorities."""
    context = ssl.create_default_context()
    found = {}
    for shown, der in zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True)):
        names = [value for part in shown["subject"] for key, value in part if key == "commonName"]
        for name in names:
            found.setdefault(name, []).append(der)
    return found


def main(argv):
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    found, names = trusted(), argv[1:] or WANTED
    missing = [name for name in names if name not in found]
    if missing and argv[1:] or len(missing) == len(names):
        print(f"this machine does not know {', '.join(missing)}. Debian: apt install ca-certificates. The names are "
              "those of openssl x509 -noout -subject", file=sys.stderr)
        return 1
    chosen = [der for name in names for der in found.get(name, ())]
    Path(argv[0]).write_text("".join(ssl.DER_cert_to_PEM_cert(der) for der in chosen), encoding="ascii")
    print(f"{argv[0]}: {len(chosen)} authorities, {sum(map(len, chosen)):,} bytes in DER"
          + (f"; not known here: {', '.join(missing)}" if missing else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
