package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"

	"github.com/youmark/pkcs8"

	"ddpm/engine/internal/contract"
)

const encryptedKey = "ENCRYPTED PRIVATE KEY"

func configOf(said *contract.SecurityTLS, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: !said.Verify}
	if said.ServerName != "" {
		config.ServerName = said.ServerName
	}
	if said.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if err := trust(config.RootCAs, said.CA); err != nil {
			return nil, err
		}
	}
	if said.Cert != "" {
		own, err := certificate(said)
		if err != nil {
			return nil, err
		}
		// Sent whatever CAs the broker names: it says itself why it refuses one.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return config, nil
}

func trust(pool *x509.CertPool, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", path)
	}
	return nil
}

func certificate(said *contract.SecurityTLS) (*tls.Certificate, error) {
	chain, err := os.ReadFile(said.Cert)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(said.Key)
	if err != nil {
		return nil, err
	}
	if key, err = decrypted(key, said.KeyPassword); err != nil {
		return nil, fmt.Errorf("%s: %w", said.Key, err)
	}
	own, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", said.Cert, said.Key, err)
	}
	return &own, nil
}

// decrypted returns a key as crypto/tls takes it.
func decrypted(text []byte, password string) ([]byte, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return text, nil
		}
		if block.Type != encryptedKey {
			continue
		}
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
		if err != nil {
			return nil, fmt.Errorf("the private key cannot be decrypted with its key_password: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
}

func handshake(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	dialer := tls.Dialer{Config: config}
	return dialer.DialContext(ctx, network, address)
}
