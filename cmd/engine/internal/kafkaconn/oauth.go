package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"ddpm/engine/internal/contract"
)

const tokenTimeout = 5 * time.Second

// tokens asks a server for tokens, and keeps each for the first half of its life: a session with a broker ends with the
// token that began it, so an old one would end connections early.
type tokens struct {
	asks clientcredentials.Config
	ca   string

	mu    sync.Mutex
	last  string
	until time.Time
}

func bearer(said *contract.SecurityOAuth, secured *contract.SecurityTLS) sasl.Mechanism {
	t := &tokens{asks: clientcredentials.Config{
		ClientID:     said.ClientID,
		ClientSecret: said.ClientSecret,
		TokenURL:     said.TokenURL,
		Scopes:       said.Scopes,
		AuthStyle:    oauth2.AuthStyleInHeader,
	}}
	if secured != nil {
		t.ca = secured.CA
	}
	return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, err := t.token(ctx)
		return oauth.Auth{Token: token}, err
	})
}

func (t *tokens) token(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		return t.last, nil
	}
	client, err := t.client()
	if err != nil {
		return "", err
	}
	defer client.CloseIdleConnections()
	found, err := t.asks.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return "", fmt.Errorf("no token from %s: %w", t.asks.TokenURL, unquoted(err))
	}
	t.last, t.until = found.AccessToken, time.Now()
	if !found.Expiry.IsZero() {
		t.until = t.until.Add(time.Until(found.Expiry) / 2)
	}
	return t.last, nil
}

// client trusts the CA of the brokers besides those of the system: who has one of their own often has both signed by it.
func (t *tokens) client() (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if t.ca != "" {
		if err := trust(pool, t.ca); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
	}
	return &http.Client{Transport: transport, Timeout: tokenTimeout}, nil
}

// unquoted is an error without the answer of the server, which may hold secrets.
func unquoted(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return err
	}
	status := "an answer that is none"
	if refused.Response != nil {
		status = refused.Response.Status
	}
	if refused.ErrorCode != "" {
		return fmt.Errorf("it answers %s (%s)", status, refused.ErrorCode)
	}
	return fmt.Errorf("it answers %s", status)
}
