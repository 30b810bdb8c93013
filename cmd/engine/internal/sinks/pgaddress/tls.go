package pgaddress

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// remote is how crypto/tls begins what the other side says when it ends a handshake.
const remote = "remote error: tls: "

// TLSFault says in a sentence what keeps an encrypted connection from coming about; false where an error is of another
// kind. Of several servers it is the first one's that has such a fault.
func TLSFault(err error) (string, bool) {
	if several, is := err.(interface{ Unwrap() []error }); is {
		for _, each := range several.Unwrap() {
			if text, found := TLSFault(each); found {
				return text, true
			}
		}
		return "", false
	}
	if connect, is := err.(*pgconn.ConnectError); is {
		return TLSFault(connect.Unwrap())
	}
	// pgx begins with the address, and in parentheses the host as it was written.
	server, _, _ := strings.Cut(err.Error(), ": ")
	return faultOf(server, err)
}

func faultOf(server string, err error) (string, bool) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var answer *pgconn.PgError
	text := err.Error()
	_, alert, alerted := strings.Cut(text, remote)
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is for another host name (%s): correct the host in the URL, or the certificate",
			server, name.Error()), true
	case errors.As(err, &authority):
		return fmt.Sprintf("the certificate of %s is signed by an authority that is not among those of sslrootcert", server), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s has expired, or is not valid yet (%s)", server, invalid.Detail), true
	case errors.As(err, &invalid):
		return fmt.Sprintf("the certificate of %s is not valid (%s)", server, invalid.Error()), true
	case strings.HasSuffix(text, "server refused TLS connection"):
		return fmt.Sprintf("%s does not encrypt connections, and sslmode asks for it: switch its ssl on", server), true
	case errors.As(err, &answer):
		return refusedCertificate(server, answer)
	case alerted:
		return alertOf(server, alert), true
	}
	return "", false
}

// refusedCertificate looks for what a server says after the handshake about the certificate that it has got, or not.
func refusedCertificate(server string, answer *pgconn.PgError) (string, bool) {
	switch {
	case answer.Code != "28000":
		return "", false
	case strings.Contains(answer.Message, "requires a valid client certificate"):
		return fmt.Sprintf("%s wants a client certificate: name sslcert and sslkey in the URL", server), true
	case strings.HasPrefix(answer.Message, "certificate authentication failed"):
		return fmt.Sprintf("%s does not take the client certificate of sslcert for this user: its name (CN) has to be the user's",
			server), true
	}
	return "", false
}

// alertOf puts into words why a server ended the handshake, which is about the client's certificate in most cases.
func alertOf(server, alert string) string {
	switch alert {
	case "unknown certificate authority":
		return fmt.Sprintf("%s does not trust the client certificate of sslcert: its authority is not among those of ssl_ca_file", server)
	case "expired certificate":
		return fmt.Sprintf("the client certificate of sslcert has expired, says %s", server)
	case "revoked certificate":
		return fmt.Sprintf("the client certificate of sslcert was revoked, says %s", server)
	case "protocol version not supported":
		return fmt.Sprintf("%s and this client have no version of TLS in common (ssl_min_protocol_version, ssl_max_protocol_version)", server)
	}
	return fmt.Sprintf("%s ends the TLS handshake: %s", server, alert)
}
