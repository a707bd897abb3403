package conformance

import (
	"errors"
	"strconv"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore"
)

func (s *suite) tx(f func(tx *xenstore.Tx) error) {
	s.Helper()
	s.must(s.c.Transaction(s.ctx, f))
}

func commit(s *suite) {
	other := s.dial(s.target.Dial)
	s.write(s.at("gone", "below"), "")
	s.tx(func(tx *xenstore.Tx) error {
		s.must(tx.Write(s.ctx, s.at("a"), "1"))
		s.must(tx.Mkdir(s.ctx, s.at("b", "c")))
		s.must(tx.Rm(s.ctx, s.at("gone")))
		// Its own changes it sees, others do not.
		v, err := tx.Read(s.ctx, s.at("a"))
		s.must(err)
		if v != "1" {
			s.Errorf("inside the transaction the value is %q", v)
		}
		_, err = tx.Read(s.ctx, s.at("gone", "below"))
		s.wantErr(err, xenstore.ErrNotFound)
		_, err = other.Read(s.ctx, s.at("a"))
		s.wantErr(err, xenstore.ErrNotFound)
		_, err = s.c.Read(s.ctx, s.at("a"))
		s.wantErr(err, xenstore.ErrNotFound)
		return nil
	})
	s.wantValue(s.at("a"), "1")
	s.wantValue(s.at("b", "c"), "")
	_, err := s.c.Read(s.ctx, s.at("gone"))
	s.wantErr(err, xenstore.ErrNotFound)
}

func abort(s *suite) {
	sorry := errors.New("sorry")
	var kept *xenstore.Tx
	err := s.c.Transaction(s.ctx, func(tx *xenstore.Tx) error {
		kept = tx
		s.must(tx.Write(s.ctx, s.at("a"), "1"))
		return sorry
	})
	s.wantErr(err, sorry)
	_, err = s.c.Read(s.ctx, s.at("a"))
	s.wantErr(err, xenstore.ErrNotFound)
	_, err = kept.Read(s.ctx, s.at("a"))
	s.wantErr(err, xenstore.ErrTxDone)
}

// conflict changes in the first two runs what the transaction has read.
func conflict(s *suite) {
	other := s.dial(s.target.Dial)
	s.write(s.at("a"), "0")
	runs := 0
	s.tx(func(tx *xenstore.Tx) error {
		runs++
		v, err := tx.Read(s.ctx, s.at("a"))
		s.must(err)
		if runs <= 2 {
			s.must(other.Write(s.ctx, s.at("a"), strconv.Itoa(runs)))
		}
		return tx.Write(s.ctx, s.at("copy"), v)
	})
	if runs != 3 {
		s.Errorf("%d runs, want 3", runs)
	}
	s.wantValue(s.at("copy"), "2")
}

// noConflict: what happens elsewhere does no harm.
func noConflict(s *suite) {
	other := s.dial(s.target.Dial)
	s.write(s.at("here", "a"), "0")
	s.write(s.at("there", "a"), "0")
	runs := 0
	s.tx(func(tx *xenstore.Tx) error {
		runs++
		s.must(other.Write(s.ctx, s.at("there", "a"), "1"))
		return tx.Write(s.ctx, s.at("here", "a"), "1")
	})
	if runs != 1 {
		s.Errorf("%d runs, want 1", runs)
	}
}

// conflictWithAbsence: that a node is not there has been read too.
func conflictWithAbsence(s *suite) {
	other := s.dial(s.target.Dial)
	runs := 0
	s.tx(func(tx *xenstore.Tx) error {
		runs++
		_, err := tx.Read(s.ctx, s.at("new"))
		if errors.Is(err, xenstore.ErrNotFound) {
			s.must(other.Write(s.ctx, s.at("new"), "theirs"))
			return tx.Write(s.ctx, s.at("new"), "ours")
		}
		return err
	})
	if runs != 2 {
		s.Errorf("%d runs, want 2", runs)
	}
	s.wantValue(s.at("new"), "theirs")
}

func counter(s *suite) {
	const workers, rounds = 4, 5
	s.write(s.at("n"), "0")
	var wg sync.WaitGroup
	for range workers {
		c := s.dial(s.target.Dial)
		wg.Go(func() {
			for range rounds {
				err := c.Transaction(s.ctx, func(tx *xenstore.Tx) error {
					v, err := tx.Read(s.ctx, s.at("n"))
					if err != nil {
						return err
					}
					n, err := strconv.Atoi(v)
					if err != nil {
						return err
					}
					return tx.Write(s.ctx, s.at("n"), strconv.Itoa(n+1))
				})
				if err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.wantValue(s.at("n"), strconv.Itoa(workers*rounds))
}

// commitEvents: watches hear of a transaction when it is committed, not before,
// and never of one given up.
func commitEvents(s *suite) {
	mark := s.watch(s.at("mark"))
	w := s.watch(s.at("t"))
	_ = s.c.Transaction(s.ctx, func(tx *xenstore.Tx) error {
		s.must(tx.Write(s.ctx, s.at("t", "never"), "1"))
		return errors.New("no")
	})
	s.tx(func(tx *xenstore.Tx) error {
		s.must(tx.Write(s.ctx, s.at("t", "a"), "1"))
		s.must(tx.Write(s.ctx, s.at("t", "b"), "1"))
		s.barrier(mark)
		s.wantNone(w, "before the commit")
		return nil
	})
	want := map[string]bool{s.at("t", "a"): true, s.at("t", "b"): true}
	for len(want) > 0 {
		got, err := w.Wait(s.ctx)
		s.must(err)
		for _, p := range got {
			if p == s.at("t", "never") {
				s.Error("an event of a transaction that was given up")
			}
			delete(want, p)
		}
	}
}

// manyRequests has many goroutines use one client at once.
func manyRequests(s *suite) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			p := s.at("n" + strconv.Itoa(i))
			for j := range 8 {
				want := strconv.Itoa(i*100 + j)
				if err := s.c.Write(s.ctx, p, want); err != nil {
					s.Error(err)
					return
				}
				if got, err := s.c.Read(s.ctx, p); err != nil || got != want {
					s.Errorf("%s is %q, %v, want %q", p, got, err, want)
				}
				if _, err := s.c.Read(s.ctx, p+"-no"); !errors.Is(err, xenstore.ErrNotFound) {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
