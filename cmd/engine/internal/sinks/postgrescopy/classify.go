package postgrescopy

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sinks/pgaddress"
)

// class says in one word why rows have to wait. It is a label of the metric postgres_copy_waiting.
type class string

const (
	classConnection    class = contract.PostgresConnection
	classTimeout       class = contract.PostgresTimeout
	classShutdown      class = contract.PostgresShutdown
	classLogin         class = contract.PostgresLogin
	classTLS           class = contract.PostgresTLS
	classResources     class = contract.PostgresResources
	classLock          class = contract.PostgresLock
	classContention    class = contract.PostgresContention
	classReadOnly      class = contract.PostgresReadOnly
	classStandby       class = contract.PostgresStandby
	classRights        class = contract.PostgresRights
	classMissing       class = contract.PostgresMissing
	classColumns       class = contract.PostgresColumns
	classPartition     class = contract.PostgresPartition
	classIdentity      class = contract.PostgresIdentity
	classTrigger       class = contract.PostgresTrigger
	classRefused       class = contract.PostgresRefused
	classUnknownSource class = contract.PostgresUnknownSource
	classIncarnation   class = contract.PostgresIncarnation
	classSource        class = contract.PostgresSource
	classNoOrigin      class = contract.PostgresNoOrigin
	classOther         class = contract.PostgresOther
)

var classes = []class{
	classConnection, classTimeout, classShutdown, classLogin, classTLS, classResources, classLock, classContention,
	classReadOnly, classStandby, classRights, classMissing, classColumns, classPartition, classIdentity, classTrigger, classRefused,
	classUnknownSource, classIncarnation, classSource, classNoOrigin, classOther,
}

// needPerson are the classes that do not pass by themselves.
var needPerson = []class{
	classLogin, classTLS, classRights, classMissing, classColumns, classPartition, classIdentity, classTrigger, classRefused,
	classUnknownSource, classNoOrigin,
}

// obstacle is a reason to wait: nothing that a record is to blame for.
type obstacle struct {
	class class
	text  string
}

func (o *obstacle) Error() string { return o.text }

// verdict says what an error of the server means for the rows that it struck.
type verdict int

const (
	// mustWait: the rows are not to blame.
	mustWait verdict = iota
	// rowRefused: one of the rows may hold what the table does not take. Who is to blame is found out later.
	rowRefused
	// conflict: a key is in the table already, which may be the identity of a row written before.
	conflict
)

// waitClasses maps SQLSTATEs, or their first two characters, to reasons for waiting. They follow
// appendix A of the Postgres manual.
var waitClasses = map[string]class{
	"08": classConnection,
	"0P": classRights,
	"25": classOther, "25006": classReadOnly, "25P03": classTimeout, "25P04": classTimeout,
	"26": classOther,
	"28": classLogin,
	"2D": classOther,
	"3B": classOther,
	"3D": classMissing, "3F": classMissing,
	"40": classContention,
	"42": classOther, "42501": classRights, "42P01": classMissing, "42703": classMissing, "42P10": classIdentity,
	"53": classResources,
	"55": classLock,
	"57": classShutdown, "57014": classTimeout,
	"58":    classResources,
	"F0":    classOther,
	"XX001": classOther, "XX002": classOther,
	"22P04": classColumns,
}

// judge decides what an error means.
func judge(err error) verdict {
	pgErr := serverError(err)
	if pgErr == nil {
		return mustWait
	}
	if _, waits := waitClass(pgErr); waits {
		return mustWait
	}
	if pgErr.Code == "23505" {
		return conflict
	}
	return rowRefused
}

// misread distinguishes an error of a value's own grammar from one of ours. The types of text search and
// paths, for example, call theirs a syntax error, as the server does that of a statement.
func misread(pgErr *pgconn.PgError) bool {
	if inValue(pgErr) == "" || pgErr.Code == "42501" {
		return false
	}
	return strings.HasPrefix(pgErr.Code, "42") || strings.HasPrefix(pgErr.Code, "3F") || strings.HasPrefix(pgErr.Code, "3D")
}

// inValue returns the column whose value an error of COPY struck while it was read; empty if none.
func inValue(pgErr *pgconn.PgError) string {
	for text := range strings.Lines(pgErr.Where) {
		if found := inCopiedValue.FindStringSubmatch(strings.TrimSuffix(text, "\n")); found != nil {
			return found[1]
		}
	}
	return ""
}

var inCopiedValue = regexp.MustCompile(`^COPY .*?, line [0-9]+, column (.+?): `)

// isClass reports whether an error is of one of the classes, the first two characters of its SQLSTATE.
func isClass(err error, classes ...string) bool {
	pgErr := serverError(err)
	return pgErr != nil && len(pgErr.Code) == 5 && slices.Contains(classes, pgErr.Code[:2])
}

// ofEncoding tells text that is none in the client's encoding, or has no place in the server's.
func ofEncoding(err error) bool {
	pgErr := serverError(err)
	return pgErr != nil && (pgErr.Code == "22021" || pgErr.Code == "22P05")
}

// serverError returns the server's answer to a statement; nil if there was none.
func serverError(err error) *pgconn.PgError {
	var o *obstacle
	var pgErr *pgconn.PgError
	if errors.As(err, &o) || !errors.As(err, &pgErr) {
		return nil
	}
	return pgErr
}

func waitClass(pgErr *pgconn.PgError) (class, bool) {
	if misread(pgErr) {
		return "", false
	}
	if c, ok := waitClasses[pgErr.Code]; ok {
		return c, true
	}
	if len(pgErr.Code) >= 2 {
		if c, ok := waitClasses[pgErr.Code[:2]]; ok {
			return c, true
		}
	}
	if noPartition(pgErr) {
		return classPartition, true
	}
	severity := pgErr.SeverityUnlocalized
	if severity == "FATAL" || severity == "PANIC" {
		return classConnection, true
	}
	return "", false
}

// noPartition distinguishes a row without a partition from a violated check, which has the same SQLSTATE but
// names its constraint. The name of the server's routine does not depend on its language.
func noPartition(pgErr *pgconn.PgError) bool {
	return pgErr.Code == "23514" && pgErr.ConstraintName == "" &&
		(pgErr.Routine == "ExecFindPartition" || strings.HasPrefix(pgErr.Message, "no partition of relation"))
}

// strayed tells a row that the table's partitioning does not let into the partition it was sent to. A
// partition that is attached meanwhile takes the row away from the default one, which a statement
// that had begun before learns in this way: the next attempt finds the new partition.
func strayed(err error) bool {
	pgErr := serverError(err)
	return pgErr != nil && pgErr.Code == "23514" && pgErr.ConstraintName == "" &&
		(pgErr.Routine == "ExecPartitionCheckEmitError" || strings.HasSuffix(pgErr.Message, "violates partition constraint"))
}

// obstacleOf turns whatever stopped an attempt into a reason to wait. Its text can be logged: a
// connection error names host, user and database but never the password.
func obstacleOf(err error) *obstacle {
	var o *obstacle
	if errors.As(err, &o) {
		return o
	}
	if fault, is := pgaddress.TLSFault(err); is {
		return &obstacle{classTLS, reason.Cut(fault)}
	}
	text := reason.Cut(err.Error())
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
	case errors.Is(err, pgaddress.ErrReadOnly):
		return &obstacle{classReadOnly, text}
	default:
		return &obstacle{classConnection, text}
	}
	if c, waits := waitClass(pgErr); waits {
		return &obstacle{c, text}
	}
	return &obstacle{classRefused, text}
}

// reasonOf says why the server refused a row.
func reasonOf(err error, relation string) *reason.Reason {
	pgErr := serverError(err)
	message := pgErr.Message
	if pgErr.Detail != "" {
		message += " (" + pgErr.Detail + ")"
	}
	r := reason.New(reason.StageSink, pgErr.Code, message)
	r.SQLState = pgErr.Code
	r.Column = pgErr.ColumnName
	if _, rest, ok := copyContext(pgErr, relation); ok && r.Column == "" {
		r.Column = columnIn(rest)
	}
	return r
}

// lineOf returns the line of the COPY, counted from 1, that an error's context names.
func lineOf(err error, relation string) (int, bool) {
	pgErr := serverError(err)
	if pgErr == nil {
		return 0, false
	}
	line, _, ok := copyContext(pgErr, relation)
	return line, ok
}

// copyContext reads "COPY relation, line 3, column amount: …" from an error's context, which has a
// line for each call that the error passed. A server that speaks another language is not understood.
func copyContext(pgErr *pgconn.PgError, relation string) (line int, rest string, ok bool) {
	prefix := "COPY " + relation + ", line "
	for text := range strings.Lines(pgErr.Where) {
		after, found := strings.CutPrefix(text, prefix)
		if !found {
			continue
		}
		digits := 0
		for digits < len(after) && '0' <= after[digits] && after[digits] <= '9' {
			digits++
		}
		line, err := strconv.Atoi(after[:digits])
		return line, after[digits:], err == nil
	}
	return 0, "", false
}

func columnIn(rest string) string {
	after, found := strings.CutPrefix(rest, ", column ")
	if !found {
		return ""
	}
	end := strings.Index(after, ": ")
	if end < 0 {
		return ""
	}
	return after[:end]
}
