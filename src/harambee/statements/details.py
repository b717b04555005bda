"""What a line of a statement is called: by the kind of its order, and the side on which it stands."""

from dataclasses import dataclass
from typing import Final

from harambee.ledger.kinds import OrderKind

OTHER: Final = "{other}"


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one kind. OTHER in them is replaced by the account on the other side."""

    reason: str
    """The organisations' column Reason Type, and how the lines of charge and commission begin."""
    paying: str
    receiving: str


DETAILS: Final[dict[OrderKind, Wording]] = {
    OrderKind.SEND: Wording(
        "Customer Transfer", "Customer Transfer to {other}", "Funds Received from {other}"
    ),
    OrderKind.WITHDRAW: Wording(
        "Withdrawal",
        "Customer Withdrawal at Agent {other}",
        "Customer Withdrawal by {other}",
    ),
    OrderKind.DEPOSIT: Wording(
        "Deposit", "Customer Deposit by {other}", "Deposit of Funds at Agent {other}"
    ),
    OrderKind.BUY_GOODS: Wording(
        "Merchant Payment", "Merchant Payment to {other}", "Merchant Payment from {other}"
    ),
    OrderKind.BANK_DEPOSIT: Wording(
        "Wallet to Bank", "Transfer to Bank {other}", "Transfer from Wallet {other}"
    ),
    OrderKind.CANCEL: Wording("Cancellation", "Payment Cancelled", "Payment Cancelled"),
    OrderKind.ENROL: Wording("Registration", "Account Opened for {other}", "Account Opened"),
    OrderKind.CLAIM: Wording("Registration", "Number Registered for {other}", "Number Registered"),
    OrderKind.FLOAT_SALE: Wording(
        "Float Sale", "Float Sold to {other}", "Float Bought from {other}"
    ),
    OrderKind.BANK_WITHDRAWAL: Wording(
        "Bank to Wallet", "Transfer to Wallet {other}", "Funds Received from Bank {other}"
    ),
    OrderKind.PAY_BILL: Wording("Pay Bill", "Pay Bill to {other}", "Pay Bill from {other}"),
    OrderKind.AIRTIME: Wording("Airtime", "Airtime Purchase at {other}", "Airtime Sold to {other}"),
    OrderKind.PAY_OUT: Wording(
        "Business Payment", "Business Payment to {other}", "Business Payment from {other}"
    ),
    OrderKind.BULK_PAY_OUT: Wording(
        "Business Payment", "Bulk Business Payment", "Business Payment from {other}"
    ),
    OrderKind.BUSINESS_TRANSFER: Wording(
        "Business Transfer", "Business Transfer to {other}", "Business Transfer from {other}"
    ),
    OrderKind.DEPOSIT_COMMISSION: Wording(
        "Deposit", "Deposit Commission to {other}", "Deposit Commission from {other}"
    ),
    OrderKind.TREASURY: Wording(
        "Treasury", "Treasury Transfer to {other}", "Treasury Transfer from {other}"
    ),
    OrderKind.EXCISE_REMITTANCE: Wording(
        "Excise", "Excise Duty Remitted to {other}", "Excise Duty Received from {other}"
    ),
    OrderKind.JOIN_HEAD_OFFICE: Wording(
        "Registration", "Head Office Joined {other}", "Agent Joined {other}"
    ),
    OrderKind.HOLD: Wording("Hold", "Held for {other}", "Held by {other} for This Account"),
    OrderKind.RELEASE: Wording(
        "Hold", "Held Funds Released to {other}", "Held Funds Received from {other}"
    ),
    OrderKind.VOID: Wording("Hold", "Hold Voided for {other}", "Hold Voided by {other}"),
    OrderKind.REFUND: Wording("Refund", "Refund to {other}", "Refund from {other}"),
    OrderKind.ASK_REVERSAL: Wording(
        "Reversal", "Reversal Asked of {other}", "Reversal Asked by {other}"
    ),
    OrderKind.REFUSE_REVERSAL: Wording(
        "Reversal", "Reversal Refused to {other}", "Reversal Refused by {other}"
    ),
    OrderKind.DISPUTE: Wording("Reversal", "Payment to {other} Disputed", "Disputed by {other}"),
    OrderKind.CHANGE_KEY: Wording("Security", "Key Changed", "Key Changed"),
    OrderKind.REFUSE_KEY: Wording("Security", "New Key Refused", "New Key Refused"),
    OrderKind.TAKE_KEY: Wording("Security", "New Key Took Over", "New Key Took Over"),
    OrderKind.ADOPT_LIMIT: Wording("Trust", "Trust Limit Adopted", "Trust Limit Adopted"),
    OrderKind.FREEZE: Wording("Governance", "Freeze of {other}", "Frozen by the Network"),
    OrderKind.UNFREEZE: Wording("Governance", "Unfreeze of {other}", "Unfrozen by the Network"),
    OrderKind.CLOSE: Wording("Governance", "Closing of {other}", "Closed by the Network"),
    OrderKind.SET_TIER: Wording("Governance", "Tier of {other} Set", "Tier Set by the Network"),
    OrderKind.ATTEST: Wording("Trust", "Trust Money Attested", "Trust Money Attested"),
    OrderKind.NEW_TARIFF: Wording("Governance", "New Tariff", "New Tariff"),
    OrderKind.REQUEST_KEY: Wording(
        "Security", "New Key Asked for {other}", "New Key Asked for This Account"
    ),
}
assert DETAILS.keys() == set(OrderKind), "every kind has its words"


def wording_of(kind: str) -> Wording:
    """Return the words of a kind by its name in lower case; a kind of a later version names itself."""
    known = OrderKind.__members__.get(kind.upper())
    if known is not None:
        return DETAILS[known]
    named = kind.replace("_", " ").title()
    return Wording(named, f"{named} to {OTHER}", f"{named} from {OTHER}")
