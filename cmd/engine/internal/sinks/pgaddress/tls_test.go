package pgaddress

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// authority signs certificates for an hour from `begins`.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	made, key := a.sign("authority", time.Now())
	a.cert, a.key = made, key
	return a
}

func (a *authority) sign(name string, begins time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(begins.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: begins.Add(-time.Minute), NotAfter: begins.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(a.t, err)
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	return cert, key
}

func (a *authority) file() string {
	path := filepath.Join(a.t.TempDir(), "ca.pem")
	must(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
	return path
}

// serve answers like a Postgres that encrypts with a certificate, as far as the handshake goes.
func serve(t *testing.T, conf *tls.Config) (port int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				asked := make([]byte, 8)
				if _, err := io.ReadFull(conn, asked); err != nil {
					return
				}
				if conf == nil {
					_, _ = conn.Write([]byte("N"))
					return
				}
				_, _ = conn.Write([]byte("S"))
				server := tls.Server(conn, conf)
				_ = server.Handshake()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestFaultsOfTLSAreNamed(t *testing.T) {
	trusted, other := newAuthority(t), newAuthority(t)
	with := func(cert *x509.Certificate, key *ecdsa.PrivateKey) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	}
	now := time.Now()
	for name, each := range map[string]struct {
		server *tls.Config
		mode   string
		says   string
	}{
		"another authority":          {with(other.sign("localhost", now)), "verify-full", "is signed by an authority that is not among those of sslrootcert"},
		"another authority, ca only": {with(other.sign("localhost", now)), "verify-ca", "is signed by an authority that is not among"},
		"another name":               {with(trusted.sign("elsewhere", now)), "verify-full", "is for another host name (x509: certificate is valid for elsewhere"},
		"expired":                    {with(trusted.sign("localhost", now.Add(-2*time.Hour))), "verify-full", "has expired, or is not valid yet (current time"},
		"expired, ca only":           {with(trusted.sign("localhost", now.Add(-2*time.Hour))), "verify-ca", "has expired, or is not valid yet (current time"},
		"not encrypted":              {nil, "verify-full", "does not encrypt connections, and sslmode asks for it"},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, each.server)
			text, err := json.Marshal(map[string]string{
				"host": "localhost", "port": fmt.Sprint(port), "user": "u", "dbname": "d", "password": "hunter2",
				"sslmode": each.mode, "sslrootcert": trusted.file(), "connect_timeout": "5",
			})
			must(t, err)
			conf, err := Parse(string(text))
			must(t, err)
			_, err = pgconn.ConnectConfig(context.Background(), conf)
			said, found := TLSFault(err)
			if !found || !strings.Contains(said, each.says) || !strings.Contains(said, fmt.Sprintf(":%d (localhost)", port)) {
				t.Errorf("%v gives %q", err, said)
			}
		})
	}
}

func TestAlertsAndAnswersAboutTheClientsCertificateAreNamed(t *testing.T) {
	for text, says := range map[string]string{
		"tls error: " + remote + "unknown certificate authority":          "does not trust the client certificate",
		"failed to receive message: " + remote + "expired certificate":    "the client certificate of sslcert has expired",
		"failed to receive message: " + remote + "revoked certificate":    "was revoked",
		"tls error: " + remote + "protocol version not supported":         "no version of TLS in common",
		"failed to receive message: " + remote + "certificate required":   "ends the TLS handshake: certificate required",
		"failed to receive message: read: connection reset by peer":       "",
		"server error: FATAL: something about a certificate (SQLSTATE 0)": "",
	} {
		said, found := TLSFault(errors.New("127.0.0.1:1 (db): " + text))
		if found != (says != "") || !strings.Contains(said, says) || (found && !strings.Contains(said, "127.0.0.1:1 (db)")) {
			t.Errorf("%q gives %q", text, said)
		}
	}
	for message, says := range map[string]string{
		"connection requires a valid client certificate":   "wants a client certificate",
		"certificate authentication failed for user \"u\"": "has to be the user's",
		"no pg_hba.conf entry for host":                    "",
	} {
		err := fmt.Errorf("127.0.0.1:1 (db): server error: %w", &pgconn.PgError{Code: "28000", Message: message})
		if said, found := TLSFault(errors.Join(errors.New("refused"), err)); found != (says != "") || !strings.Contains(said, says) {
			t.Errorf("%q gives %q", message, said)
		}
	}
}
