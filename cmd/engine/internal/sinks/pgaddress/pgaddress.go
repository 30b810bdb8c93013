// Package pgaddress makes of the parts of an address of Postgres what pgx connects with.
//
// ddpm reads the URL of its configuration once and hands over the parts, so that its own client and this
// one cannot understand it differently. Whatever the parts do not say comes from nowhere else: not from
// PGHOST and its like, not from files in somebody's home folder.
package pgaddress

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// applicationName is what the server shows of connections whose address names no other.
const applicationName = "ddpm"

// ConnectTimeout is how long each server of an address may take to let a client in where the address does not say; libpq
// has the same in ddpm.
const ConnectTimeout = 10 * time.Second

// waitForStandby is the server's routine in which a commit waits for its synchronous standby.
const waitForStandby = "SyncRepWaitForLSN"

// defaults are the parts that an address may leave out. An empty value stands for pgx's own default and
// keeps it from looking into the environment.
var defaults = map[string]string{
	"host": "", "port": "", "user": "", "password": "", "dbname": "",
	"sslmode": "prefer", "sslrootcert": "", "sslcert": "", "sslkey": "", "sslpassword": "", "sslsni": "1",
	"sslnegotiation": "", "channel_binding": "prefer", "target_session_attrs": "any", "connect_timeout": "0",
	"passfile": "",
}

// settings are parts that go to the server as they are.
var settings = []string{"application_name", "options"}

// others are parts that are not settings of pgx; gssencmode can only say what pgx does anyway.
var others = []string{
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "gssencmode",
	"ssl_min_protocol_version", "ssl_max_protocol_version",
}

// keywords are those of libpq that pgx does not know: in a URL it takes them for settings, which the server refuses.
var keywords = []string{
	"fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "hostaddr", "keepalives", "keepalives_count",
	"keepalives_idle", "keepalives_interval", "load_balance_hosts", "oauth_client_id", "oauth_client_secret", "oauth_issuer",
	"oauth_scope", "require_auth", "requirepeer", "scram_client_key", "scram_server_key", "ssl_max_protocol_version",
	"ssl_min_protocol_version", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkeylogfile", "tcp_user_timeout",
}

// tlsVersions are the values of ssl_min_protocol_version and ssl_max_protocol_version.
var tlsVersions = map[string]uint16{"": 0, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// ErrReadOnly says that a server takes no rows, and that the address asks for one that does.
var ErrReadOnly = errors.New("it is read-only: a standby, or default_transaction_read_only is on")

// Parse reads an address: a JSON object with libpq's keywords, as ddpm hands it over, or else a URL, as
// people write it who start an engine themselves. No error quotes any of it: it holds a password.
func Parse(text string) (*pgconn.Config, error) {
	if !strings.HasPrefix(text, "{") {
		return fromURL(text)
	}
	var parts map[string]string
	if json.Unmarshal([]byte(text), &parts) != nil {
		return nil, errors.New("the address is not a JSON object of texts")
	}
	return fromParts(parts)
}

func fromURL(text string) (*pgconn.Config, error) {
	conf, err := pgconn.ParseConfig(text)
	if text == "" || err != nil {
		return nil, errors.New("the address is not a Postgres URL")
	}
	for _, name := range keywords {
		if _, found := conf.RuntimeParams[name]; found {
			return nil, fmt.Errorf("the address has the keyword %s of libpq, which this engine does not know: leave it out", name)
		}
	}
	return withDefaults(conf), nil
}

func fromParts(parts map[string]string) (*pgconn.Config, error) {
	query := url.Values{}
	for name, value := range defaults {
		query.Set(name, value)
	}
	params := map[string]string{}
	for name, value := range parts {
		switch {
		case known(name):
			if value != "" {
				query.Set(name, value)
			}
		case in(settings, name):
			if value != "" {
				params[name] = value
			}
		case !in(others, name):
			return nil, fmt.Errorf("the address has the part %q, which this engine does not know", name)
		}
	}
	for _, name := range []string{"host", "port", "user", "dbname"} {
		if query.Get(name) == "" {
			return nil, fmt.Errorf("the address has no %s", name)
		}
	}
	conf, err := withoutService(func() (*pgconn.Config, error) {
		return pgconn.ParseConfig("postgresql://?" + query.Encode())
	})
	if err != nil {
		return nil, fmt.Errorf("the address makes no sense: %s", reason(err))
	}
	conf.RuntimeParams = params
	dialer, err := dialer(parts, conf.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	conf.DialFunc = dialFarewell(dialer)
	if err := likeLibpq(conf, parts["ssl_min_protocol_version"], parts["ssl_max_protocol_version"]); err != nil {
		return nil, err
	}
	return withDefaults(conf), nil
}

// likeLibpq sets for each of the servers which versions of TLS are spoken, and has a client certificate sent in any case:
// crypto/tls keeps back one whose authority the server does not name, and the server then asks for a certificate.
func likeLibpq(conf *pgconn.Config, least, most string) error {
	lowest, knowsLeast := tlsVersions[least]
	highest, knowsMost := tlsVersions[most]
	if !knowsLeast || !knowsMost {
		return errors.New("the address has a version of TLS that this engine does not know")
	}
	all := []*tls.Config{conf.TLSConfig}
	for _, each := range conf.Fallbacks {
		all = append(all, each.TLSConfig)
	}
	for _, each := range all {
		if each == nil {
			continue
		}
		each.MinVersion, each.MaxVersion = lowest, highest
		if len(each.Certificates) > 0 {
			certificate := &each.Certificates[0]
			each.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
		}
	}
	return nil
}

// Unconfirmed reports whether a server says that it gave up waiting for its synchronous standby. That is a warning and no
// error (after pg_cancel_backend, for example): the commit is done, but a standby that is promoted may lack it.
func Unconfirmed(notice *pgconn.Notice) bool {
	// The message depends on the server's language.
	return notice.Routine == waitForStandby
}

func withDefaults(conf *pgconn.Config) *pgconn.Config {
	if validate := conf.ValidateConnect; validate != nil {
		conf.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			err := validate(ctx, conn)
			var answer *pgconn.PgError
			if err == nil || errors.As(err, &answer) || conn.IsClosed() || ctx.Err() != nil {
				return err
			}
			// What is left is that the server answered, and is not of the kind that was asked for.
			return ErrReadOnly
		}
	}
	conf.RuntimeParams["client_encoding"] = "UTF8"
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = applicationName
	}
	return conf
}

func known(name string) bool {
	_, found := defaults[name]
	return found && name != "passfile"
}

func in(names []string, wanted string) bool {
	for _, name := range names {
		if name == wanted {
			return true
		}
	}
	return false
}

// withoutService keeps PGSERVICE from being looked up, which no part of an address can do.
func withoutService[T any](do func() (T, error)) (T, error) {
	if service, found := os.LookupEnv("PGSERVICE"); found {
		os.Unsetenv("PGSERVICE")
		defer os.Setenv("PGSERVICE", service)
	}
	return do()
}

// reason is why pgx does not take parts. What it says of files quotes their names alone.
func reason(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return "pgx does not take it"
}

// dialer opens connections as libpq's keepalives* and connect_timeout ask for.
func dialer(parts map[string]string, timeout time.Duration) (*net.Dialer, error) {
	d := &net.Dialer{Timeout: timeout}
	if parts["keepalives"] == "0" {
		d.KeepAlive = -1
		return d, nil
	}
	var errs [3]error
	d.KeepAliveConfig.Idle, errs[0] = seconds(parts["keepalives_idle"])
	d.KeepAliveConfig.Interval, errs[1] = seconds(parts["keepalives_interval"])
	count, err := whole(parts["keepalives_count"])
	d.KeepAliveConfig.Count, errs[2] = count, err
	// With all of them 0 the dialer's own defaults hold.
	d.KeepAliveConfig.Enable = d.KeepAliveConfig.Idle+d.KeepAliveConfig.Interval != 0 || count != 0
	return d, errors.Join(errs[:]...)
}

func seconds(text string) (time.Duration, error) {
	number, err := whole(text)
	return time.Duration(number) * time.Second, err
}

func whole(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("a number of the address is none")
	}
	return number, nil
}
