package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/age"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// Our own bounds on what a client can cost.
const (
	maxHeader   = 8 << 10 // bytes
	maxBody     = 4 << 10 // bytes
	requestTime = 10 * time.Second
	idleTime    = 30 * time.Second
	endTime     = 2 * time.Second
)

// Entropy is what the API shows of a host.Entropy.
type Entropy interface{ Status() host.EntropyStatus }

// Server is what the API shows of a host.Server and does to it.
type Server interface {
	Status() host.Status
	NewGeneration() uint64
	NewGenerationFor(id string) (generation uint64, ok bool)
}

// Config is what a control API serves.
type Config struct {
	Version string
	PID     int
	Started time.Time // with a monotonic reading, as time.Now gives it
	Listen  []string  // channel addresses
	Absent  []source.Status
	Entropy Entropy
	Server  Server
	Domains func() []transport.Domain // who is on this Xen host; nil without Xen
	Rights  Rights                    // of others than root and the daemon's own user
	Log     *slog.Logger              // slog.Default()
}

func (c Config) domains() []transport.Domain {
	if c.Domains == nil {
		return nil
	}
	return c.Domains()
}

// Serve answers requests on l until ctx ends, and closes l. A request under way
// has two seconds to end.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &http.Server{
		Handler:           Handler(cfg),
		ReadHeaderTimeout: requestTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		// Else "OPTIONS *" is answered beside the handler, which bounds how
		// often a user asks.
		DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context,
			c net.Conn,
		) context.Context {
			return withConn(ctx, c.(*conn))
		},
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	placed := places(l, placeOf)
	defer placed.leaving.Stop()
	go func() { ended <- s.Serve(placed) }()
	select {
	case err := <-ended:
		s.Close()
		return fmt.Errorf("serve control API: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	err := s.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	<-ended
	return err
}

// Handler is the API without its socket.
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	get := func(path string, what func() any) {
		mux.Handle("GET "+path, cfg.allow(RightLook, func(w http.ResponseWriter,
			_ *http.Request,
		) {
			answer(w, http.StatusOK, what())
		}))
	}
	get("/v1/status", func() any {
		return Status{
			Version: cfg.Version, PID: cfg.PID, Uptime: age.Of(time.Since(cfg.Started)),
			Time: time.Now(), Listen: cfg.Listen,
			Entropy: cfg.Entropy.Status(), Server: cfg.Server.Status(), Domains: cfg.domains(),
		}
	})
	get("/v1/sources", func() any {
		e := cfg.Entropy.Status()
		return Sources{Sources: append(e.Sources, cfg.Absent...), SpentBits: e.SpentBits}
	})
	get("/v1/guests", func() any { return cfg.Server.Status().Guests })
	mux.Handle("GET /metrics", cfg.allow(RightLook,
		promhttp.HandlerFor(Registry(cfg), promhttp.HandlerOpts{MaxRequestsInFlight: 2}).ServeHTTP))
	mux.Handle("POST /v1/generation", cfg.allow(RightChange, cfg.renew))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, errorAnswer{fmt.Sprintf("no %s %s; there are GET /v1/status, /v1/sources, "+
			"/v1/guests and /metrics, POST /v1/generation", r.Method, r.URL.Path)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r); c != nil && c.begin(r.Context()) != nil {
			return // it is gone
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// guestOf is the guest that a request names, and whether it names one. One that
// names it wrongly, such as a script whose variable is empty, means something
// else than all guests.
func guestOf(r *http.Request) (id string, one bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", false, fmt.Errorf("query %q: %w", r.URL.RawQuery, err)
	}
	for key := range query {
		if key != "guest" {
			return "", false, fmt.Errorf("query: unknown parameter %q; known is guest", key)
		}
	}
	ids, one := query["guest"]
	switch {
	case len(ids) > 1:
		return "", false, fmt.Errorf("query: parameter guest comes %d times: name one, or none for all", len(ids))
	case one && ids[0] == "":
		return "", false, errors.New("query: parameter guest is empty: name a guest's ID, or leave the parameter " +
			"out for all")
	case one:
		id = ids[0]
	}
	return id, one, nil
}

// renew begins a generation. The server logs it.
func (cfg *Config) renew(w http.ResponseWriter, r *http.Request) {
	var g uint64
	id, one, err := guestOf(r)
	switch {
	case err != nil:
		answer(w, http.StatusBadRequest, errorAnswer{err.Error()})
		return
	case !one:
		g = cfg.Server.NewGeneration()
	default:
		var ok bool
		if g, ok = cfg.Server.NewGenerationFor(id); !ok {
			answer(w, http.StatusNotFound, errorAnswer{fmt.Sprintf("no guest has the ID %q; status shows them", id)})
			return
		}
	}
	answer(w, http.StatusOK, Generation{g, cfg.Server.Status().Sessions})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v) // the client is gone if this fails
}
