package kafkaconn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"ddpm/engine/internal/contract"
)

const secret = "a-secret-that-stays-one"

func parsed(t *testing.T, said contract.Security) *Security {
	t.Helper()
	text, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNothingIsPlainText(t *testing.T) {
	var none *Security
	if len(none.Options()) != 0 {
		t.Error("a component without the field has options")
	}
	if len(parsed(t, contract.Security{}).Options()) != 0 {
		t.Error("nothing said gives options")
	}
}

func TestEachMechanismIsKnown(t *testing.T) {
	oauth := &contract.SecurityOAuth{TokenURL: "http://127.0.0.1:1", ClientID: "c", ClientSecret: secret}
	for _, name := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"} {
		said := contract.Security{SASL: &contract.SecuritySASL{Mechanism: name, Username: "u", Password: secret, OAuth: oauth}}
		s := parsed(t, said)
		if s.mechanism.Name() != name || len(s.Options()) != 1 {
			t.Errorf("%s gives %s", name, s.mechanism.Name())
		}
	}
}

func TestWhatCannotBeReadIsNotQuoted(t *testing.T) {
	for _, text := range []string{secret, `{"sasl": {"mechanism": "GSSAPI", "password": "` + secret + `"}}`, `{"sasl": {"mechanism": "OAUTHBEARER"}}`} {
		_, err := Parse(text)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// issued writes a certificate for 127.0.0.1, signed by itself, with its key, which is encrypted if there is a password.
func issued(t *testing.T, password string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	kind, plain := "PRIVATE KEY", []byte(nil)
	if password != "" {
		kind, plain = encryptedKey, []byte(password)
	}
	of, err := pkcs8.MarshalPrivateKey(private, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: kind, Bytes: of}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// serving accepts TLS from clients with a certificate of the CA, and returns its address.
func serving(t *testing.T, cert, key, ca string) string {
	t.Helper()
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if err := trust(pool, ca); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Write([]byte("in"))
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// reached dials, and reads what the server says to those that it lets in.
func reached(t *testing.T, said contract.SecurityTLS, address string) error {
	t.Helper()
	conn, err := parsed(t, contract.Security{TLS: &said}).dial(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Read(make([]byte, 2))
	return err
}

func TestCertificatesOfBothAreCompared(t *testing.T) {
	cert, key := issued(t, "")
	client, encrypted := issued(t, secret)
	address := serving(t, cert, key, client)
	fits := contract.SecurityTLS{CA: cert, Cert: client, Key: encrypted, KeyPassword: secret, Verify: true}
	if err := reached(t, fits, address); err != nil {
		t.Fatal(err)
	}
	unchecked := fits
	unchecked.CA, unchecked.Verify = "", false
	if err := reached(t, unchecked, address); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*contract.SecurityTLS){
		"another CA":     func(s *contract.SecurityTLS) { s.CA = client },
		"another name":   func(s *contract.SecurityTLS) { s.ServerName = "kafka.example.com" },
		"no certificate": func(s *contract.SecurityTLS) { s.Cert, s.Key = "", "" },
		"a wrong key":    func(s *contract.SecurityTLS) { s.Key = key },
		"no password":    func(s *contract.SecurityTLS) { s.KeyPassword = "" },
		"no CA's file":   func(s *contract.SecurityTLS) { s.CA = key },
	} {
		wrong := fits
		change(&wrong)
		if err := reached(t, wrong, address); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARenewedCertificateIsReadByTheNextConnection(t *testing.T) {
	cert, key := issued(t, "")
	address := serving(t, cert, key, cert)
	other, otherKey := issued(t, "")
	said := contract.SecurityTLS{CA: cert, Cert: other, Key: otherKey, Verify: true}
	if reached(t, said, address) == nil {
		t.Fatal("a certificate of another CA is let in")
	}
	for from, to := range map[string]string{cert: other, key: otherKey} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := reached(t, said, address); err != nil {
		t.Error(err)
	}
}

func TestATokenIsKeptForHalfOfItsLife(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		user, password, _ := r.BasicAuth()
		if user != "c" || password != secret || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" {
			t.Errorf("%s asks with %v", user, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}`))
	}))
	defer server.Close()
	said := &contract.SecurityOAuth{TokenURL: server.URL, ClientID: "c", ClientSecret: secret, Scopes: []string{"a", "b"}}
	mechanism := bearer(said, nil)
	for range 3 {
		if _, first, err := mechanism.Authenticate(context.Background(), ""); err != nil || !strings.Contains(string(first), "Bearer t") {
			t.Fatalf("%q, %v", first, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAnAnswerWithoutATokenIsNotQuoted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "invalid_client", "error_description": "` + secret + `"}`))
	}))
	defer server.Close()
	_, _, err := bearer(&contract.SecurityOAuth{TokenURL: server.URL}, nil).Authenticate(context.Background(), "")
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "invalid_client") {
		t.Error(err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the cause is lost")
	}
}

// The signature is computed here once more, as Amazon describes it (Signature Version 4).
func TestARequestForAWSIsSigned(t *testing.T) {
	s := parsed(t, contract.Security{SASL: &contract.SecuritySASL{Mechanism: "AWS_MSK_IAM", Username: "AKID", Password: secret}})
	const host = "b-1.orders.c2.kafka.eu-central-1.amazonaws.com"
	_, first, err := s.mechanism.Authenticate(context.Background(), host+":9098")
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]string
	if err := json.Unmarshal(first, &said); err != nil {
		t.Fatal(err)
	}
	date := said["x-amz-date"]
	scope := date[:8] + "/eu-central-1/kafka-cluster/aws4_request"
	query := url.Values{
		"Action": {"kafka-cluster:Connect"}, "X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {"AKID/" + scope},
		"X-Amz-Date": {date}, "X-Amz-Expires": {said["x-amz-expires"]}, "X-Amz-SignedHeaders": {"host"},
	}.Encode()
	sum := func(text string) string { h := sha256.Sum256([]byte(text)); return hex.EncodeToString(h[:]) }
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	request := "GET\n/\n" + query + "\nhost:" + host + "\n\nhost\n" + sum("")
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = sign(key, part)
	}
	want := hex.EncodeToString(sign(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+sum(request)))
	if said["x-amz-signature"] != want || said["host"] != host {
		t.Errorf("%s, want %s", first, want)
	}
}
