-- The central ledger: what a good engineer would keep a nation's accounts in, with one master.
--
-- A payment is one row of the journal and changes two accounts, in one transaction. The journal's
-- key is (payer, sequence): an order that comes twice is found there, so ten tries are one payment.
-- Fees stay in the journal and are added up from it. A revenue account that every payment updated
-- would be one row that all of them wait for.
--
-- What an order says by itself (signature, price, day) the gateways have judged; here stand the
-- rules that need an account. Codes are those of harambee.ledger.outcomes. Amounts are cents.

CREATE TABLE account (
    number int8 PRIMARY KEY,
    key bytea NOT NULL,
    flags int8 NOT NULL,
    balance int8 NOT NULL,
    next_sequence int8 NOT NULL,
    spent_today int8 NOT NULL DEFAULT 0,
    day int4 NOT NULL DEFAULT 0,
    -- Bits 0-3 of the flags are the kind; only a bank (5) owes.
    CONSTRAINT only_banks_owe CHECK (balance >= 0 OR flags & 15 = 5)
) WITH (fillfactor = 60); -- room for new versions on the same page, so that no index is touched

CREATE TABLE journal (
    position int8 GENERATED ALWAYS AS IDENTITY,
    payer int8 NOT NULL,
    sequence int8 NOT NULL,
    payee int8 NOT NULL,
    amount int8 NOT NULL,
    fee int8 NOT NULL,
    signed bytea NOT NULL, -- the 128 bytes as the customer signed them
    PRIMARY KEY (payer, sequence)
);
-- The payee's statement; the payer's is the primary key.
CREATE INDEX journal_of_payee ON journal (payee, position);

-- One row: how much a customer may pay in a day, and have.
CREATE TABLE limits (daily int8 NOT NULL, balance int8 NOT NULL);

-- Whether the slot of a past sequence holds just this order: -1 then, else SEQUENCE_STALE.
CREATE FUNCTION seen_before(wanted_payer int8, wanted_sequence int8, wanted bytea) RETURNS int4
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (
        SELECT FROM journal
        WHERE payer = wanted_payer AND sequence = wanted_sequence
            AND substr(signed, 1, 64) = substr(wanted, 1, 64)
    ) THEN -1 ELSE 5 END
$$;

-- One order in a transaction of its own. Kind 1 is SEND, 6 is CANCEL, which moves nothing.
CREATE FUNCTION pay(
    an_order bytea, its_payer int8, its_sequence int8, its_payee int8, its_amount int8,
    its_fee int8, its_day int4, its_kind int4
) RETURNS int4 LANGUAGE plpgsql AS $$
DECLARE
    one account;
    payer account;
    payee account;
    most limits;
BEGIN
    -- Both rows in the order of their numbers: two payments never wait for each other in a circle.
    FOR one IN
        SELECT * FROM account WHERE number IN (its_payer, its_payee)
        ORDER BY number FOR NO KEY UPDATE
    LOOP
        IF one.number = its_payer THEN payer := one; END IF;
        IF one.number = its_payee THEN payee := one; END IF;
    END LOOP;
    SELECT * INTO most FROM limits;
    IF payer.number IS NULL THEN RETURN 3; END IF;
    IF its_sequence < payer.next_sequence THEN
        RETURN seen_before(its_payer, its_sequence, an_order);
    END IF;
    IF its_sequence > payer.next_sequence THEN RETURN 6; END IF;
    IF payee.number IS NULL THEN RETURN 8; END IF;
    IF its_day < payer.day THEN RETURN 18; END IF;
    IF its_kind = 1 THEN
        IF payer.flags & 15 <> 1 THEN RETURN 9; END IF;
        IF payee.flags & 15 <> 1 THEN RETURN 10; END IF;
        IF payer.flags & 240 <> 0 THEN RETURN 19; END IF;
        IF payee.flags & 240 <> 0 THEN RETURN 20; END IF;
        IF (CASE WHEN its_day = payer.day THEN payer.spent_today ELSE 0 END) + its_amount
            > most.daily THEN RETURN 21; END IF;
        IF payee.balance + its_amount > most.balance THEN RETURN 22; END IF;
        IF payer.balance < its_amount + its_fee THEN RETURN 23; END IF;
    END IF;
    INSERT INTO journal (payer, sequence, payee, amount, fee, signed)
    VALUES (its_payer, its_sequence, its_payee, its_amount, its_fee, an_order);
    UPDATE account SET
        balance = balance - its_amount - its_fee,
        next_sequence = its_sequence + 1,
        spent_today = CASE WHEN its_day = day THEN spent_today ELSE 0 END + its_amount,
        day = its_day
    WHERE number = its_payer;
    IF its_kind = 1 THEN
        UPDATE account SET balance = balance + its_amount WHERE number = its_payee;
    END IF;
    RETURN 0;
END
$$;

-- Many orders in one transaction, each judged for itself; no two of one payer. The answer has a
-- code for each. Within a batch a credit cannot be spent yet, and counts against its payee's limit
-- even if the payee pays in the same batch: stricter than one by one, never laxer.
CREATE FUNCTION pay_all(
    orders bytea[], payers int8[], sequences int8[], payees int8[], amounts int8[], fees int8[],
    days int4[], kinds int4[]
) RETURNS int4[] LANGUAGE plpgsql AS $$
DECLARE
    most limits;
    codes int4[];
BEGIN
    PERFORM FROM account WHERE number = ANY (payers || payees)
    ORDER BY number FOR NO KEY UPDATE;
    SELECT * INTO most FROM limits;
    WITH wanted AS (
        SELECT * FROM unnest(orders, payers, sequences, payees, amounts, fees, days, kinds)
            WITH ORDINALITY AS w (signed, payer, sequence, payee, amount, fee, day, kind, nth)
    ),
    judged AS (
        SELECT w.*, b.balance AS payee_balance, CASE
            WHEN a.number IS NULL THEN 3
            WHEN w.sequence < a.next_sequence THEN seen_before(w.payer, w.sequence, w.signed)
            WHEN w.sequence > a.next_sequence THEN 6
            WHEN b.number IS NULL THEN 8
            WHEN w.day < a.day THEN 18
            WHEN w.kind = 6 THEN 0
            WHEN a.flags & 15 <> 1 THEN 9
            WHEN b.flags & 15 <> 1 THEN 10
            WHEN a.flags & 240 <> 0 THEN 19
            WHEN b.flags & 240 <> 0 THEN 20
            WHEN CASE WHEN w.day = a.day THEN a.spent_today ELSE 0 END + w.amount > most.daily
                THEN 21
            WHEN a.balance < w.amount + w.fee THEN 23
            ELSE 0
        END AS code
        FROM wanted w
        LEFT JOIN account a ON a.number = w.payer
        LEFT JOIN account b ON b.number = w.payee
    ),
    limited AS (
        SELECT j.signed, j.payer, j.sequence, j.payee, j.amount, j.fee, j.day, j.kind, j.nth, CASE
            WHEN j.code = 0 AND j.kind = 1 AND j.payee_balance + sum(j.amount)
                FILTER (WHERE j.code = 0) OVER (PARTITION BY j.payee ORDER BY j.nth)
                > most.balance THEN 22
            ELSE j.code
        END AS code
        FROM judged j
    ),
    entered AS (
        INSERT INTO journal (payer, sequence, payee, amount, fee, signed)
        SELECT payer, sequence, payee, amount, fee, signed FROM limited
        WHERE code = 0 ORDER BY nth
    ),
    changes AS (
        SELECT number, sum(change) AS change, sum(step) AS step, sum(spent) AS spent, max(day) AS day
        FROM (
            SELECT payer AS number, -amount - fee AS change, 1 AS step, amount AS spent, day
            FROM limited WHERE code = 0
            UNION ALL
            SELECT payee, amount, 0, 0, 0 FROM limited WHERE code = 0 AND kind = 1
        ) sides GROUP BY number
    ),
    moved AS (
        UPDATE account a SET
            balance = a.balance + c.change,
            next_sequence = a.next_sequence + c.step,
            spent_today = c.spent + CASE WHEN c.day > a.day THEN 0 ELSE a.spent_today END,
            day = greatest(a.day, c.day)
        FROM changes c WHERE a.number = c.number
    )
    SELECT array_agg(code ORDER BY nth) INTO codes FROM limited;
    RETURN codes;
END
$$;
