"""The words of receivers and hosts that explain a refusal, most telling first; data of `replies`.

The patterns run over one line in lower case from which links, addresses and repeated codes were taken out.
Each is a search without nested repetition, so that a hostile answer costs no more than its length.
"""

from __future__ import annotations

import re


def any_of(*fragments: str) -> re.Pattern[str]:
    return re.compile("|".join(fragments))


def entry(reason: str, *fragments: str) -> tuple[str, re.Pattern[str]]:
    return reason, any_of(*fragments)


# --- Mailbox hosts and providers, about us ------------------------------------------------------------

DAILY_QUOTA = any_of(
    r"submission ?quota",
    r"daily (?:user |smtp relay |message |sending |recipient |email )*(?:quota|limit)",
    r"(?:daily|hourly|sending) (?:quota|limit)[a-z ]* exceeded",
    r"exceeded [a-z' ]*(?:sending|daily|outgoing|outbound) [a-z]* ?(?:limit|quota)",
    r"recipient ?rate ?limit",
)
ACCOUNT_OFF = any_of(
    r"sending ?paused",
    r"sending (?:is |has been )?(?:paused|disabled) for (?:this|your) account",
    r"account ?suspended ?exception",
    r"\baccountsuspended\b",
    r"domain \S+ is (?:disabled|not allowed to send)",
    r"sending .{0,40}(?:server|account) (?:is |has been )?(?:disabled|inactive)",
)
SES_THROTTLED = any_of(r"throttling failure", r"maximum sending rate exceeded")
ORGANISATION = any_of(
    r"invalid_grant",
    r"consent_required",
    r"interaction_required",
    r"smtpclientauthentication is disabled for the tenant",
)
UNSOLICITED_RATE = any_of(
    r"unusual rate of",
    r"unexpected volume",
    r"rate limited",
    r"\brp-00[123]\b",
    r"\[?\bts[s0-9]{2,4}\b\]?",
    r"too many (?:messages|mails|emails) (?:from|received)",
)

# --- Receivers, about an address that is not there -----------------------------------------------------

NO_SUCH_PERSON: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "hasmoved",
        any_of(
            r"(?:user|recipient|account|mailbox|address|he|she) (?:has )?(?:moved|changed)",
            r"no longer (?:on|at|valid|works?|employed|used|available|with|here|exist|in use|accept)",
            r"has been (?:replaced|terminated)",
            r"has left",
        ),
    ),
    (
        "notaccept",
        any_of(
            r"null ?mx",
            r"does(?:n't| not) (?:accept|receive) (?:any )?(?:e-?)?mail",
            r"not accept any mail",
        ),
    ),
    (
        "hostunknown",
        any_of(
            r"(?:host|domain)(?: or domain)?(?: name)? (?:\S+ ){0,2}"
            r"(?:not found|unknown|does not exist|not exist)",
            r"(?:unknown|no such|bad|nonexistent|unrouteable|unroutable|invalid) (?:mail )?(?:host|domain)",
            r"nxdomain",
            r"domain (?:is )?(?:invalid|unknown)",
            r"no such a domain",
        ),
    ),
    (
        "userunknown",
        any_of(
            r"(?:user|recipient|mailbox|account|address|alias|name|customer|subscriber)"
            r"(?:\(?s\)?)?\b(?: \S+){0,6}? "
            r"(?:unknown|not (?:found|known|exist\w*|valid|listed|recogni[sz]ed|here)"
            r"|do(?:es)?(?:n't| not) exist|is unknown|undeliverable|not a valid|is invalid"
            r"|could not be found)",
            r"(?:unknown|invalid|no such|non-?existent|not a valid|unrout(?:e)?able"
            r"|bad destination|undeliverable|incorrect)(?: \w+)? "
            r"(?:user|recipient|mailbox|account|address|e?-?mail|local|person|alias|destination)",
            r"no (?:such )?(?:user|mailbox|account|recipient|person|address)(?: \S+)? ?"
            r"(?:here|by that name|with that|found|exists?|in|$|\.)",
            r"recip(?:ient)? ?not ?found",
            r"not our customer",
            r"unknown or illegal alias",
            r"unknown local",
            r"no such user",
            r"mailbox (?:unavailable|not found)",
            r"can't (?:find|verify|open) (?:the )?(?:user|recipient|mailbox)",
            r"address(?:es)? (?:rejected: (?:unknown|undeliverable|no such)|unknown)",
            r"doesn't have an? (?:\S+ )?account",
            r"destinataire (?:\w+ )?(?:inconnu|invalide)",
            r"adresse .{0,40}(?:inconnu|invalide)",
            r"utilisateur inconnu",
            r"(?:benutzer|empf\w+nger|adresse|postfach) (?:\w+ )?"
            r"(?:unbekannt|existiert nicht|nicht gefunden)",
            r"не найден",
            r"не существует",
            r"usuario desconocido",
            r"utente sconosciuto",
        ),
    ),
)
# Exchange Online says this for an address that its directory does not have.
NOT_IN_DIRECTORY = re.compile(r"recipient address rejected: access denied")
THERE_AFTER_ALL = any_of(r"\bfull\b", r"quota", r"procmail", r"maildrop", r"\bsender\b")
NETWORK = any_of(
    r"(?:malformed|unexpected) .{0,30}name server",
    r"no route to host",
    r"network (?:is )?unreachable",
    r"connection (?:refused|reset|lost|dropped)",
    r"lost connection",
    r"dns (?:error|failure|server)",
    r"name ?server",
    r"host unreachable",
    r"\bloop",
)
SYSTEM = any_of(
    r"transaction failed",
    r"service (?:currently |temporarily )?(?:un|not )available",
    r"(?:internal|server|system|local|configuration|processing) (?:server )?error",
    r"error in processing",
    r"temporary (?:failure|error|problem)",
    r"system not accepting",
    r"shutting down",
    r"out of memory",
)

# --- Receivers, about everything else -----------------------------------------------------------------


TEXTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    entry("onhold", r"\bgr[ea]y ?-?list"),
    # a mailbox that exists
    entry(
        "mailboxfull",
        r"mailbox (?:is |size |has )?(?:full|over)",
        r"(?:mailbox|inbox|user|account|recipient|storage|disk)\S* (?:is |has |size )?(?:\w+ )?"
        r"(?:over|exceed\w*|out of) (?:\w+ )?(?:quota|storage|space|limit)",
        r"(?:over|exceed\w*) (?:\w+ ){0,3}(?:quota|storage)",
        r"quota (?:has been )?(?:exceed|violation|full)",
        r"disk quota",
        r"full mailbox",
        r"mailbox.{0,40}\bfull\b",
        r"not enough (?:storage|disk) space",
        r"insufficient (?:user )?storage space",
        r"bo[iî]te .{0,20}pleine",
        r"postfach .{0,20}voll",
        r"speicherplatz",
        r"переполнен",
    ),
    entry(
        "speeding",
        r"receiving mail (?:at a rate|too quickly)",
        r"too (?:many|much) (?:mail|message|email|login|auth)",
        r"(?:rate|message|sending) limit",
        r"throttl",
    ),
    entry(
        "suspend",
        r"(?:account|mailbox|user|recipient)\S* (?:\w+ ){0,4}"
        r"(?:disabled|suspended|inactive|deactivated|discontinued|locked|frozen|not active)\b",
        r"(?:recipient|mailbox|user) account (?:is |has been )?blocked",
        r"(?:disabled|suspended|inactive|deactivated|expired) (?:recipient|account|mailbox|user|e?-?mail)",
        r"compte .{0,40}(?:bloqu|suspendu|d[eé]sactiv)",
        r"(?:postfach|konto) .{0,20}gesperrt",
        r"(?:ящик|аккаунт) .{0,20}заблокирован",
    ),
    entry(
        "mailererror",
        r"procmail",
        r"maildrop",
        r"command (?:failed|died|line usage error)",
        r"(?:couldn't|unable to) create",
        r"local delivery failed",
    ),
    # ourselves: how we connect, who we are, what we send
    entry(
        "failedstarttls",
        r"(?:must issue|must use|requires?|need) (?:a )?(?:starttls|tls)",
        r"tls (?:is )?(?:required|not available|handshake)",
    ),
    entry(
        "requireptr",
        r"\bptr\b",
        r"reverse (?:dns|lookup|mapping|hostname|resolution|entry)",
        r"\brdns\b",
        r"ip (?:name|address) (?:lookup|could not be resolved)",
        r"without (?:a )?valid (?:sender domain|reverse)",
        r"(?:cannot|can't|could not|unable to) (?:find|resolve)[a-z ]{0,30}(?:hostname|host name|reverse)",
        r"no (?:valid )?dns (?:entry|record) for (?:your|ip|host)",
        r"hostname lookup",
    ),
    entry(
        "notcompliantrfc",
        r"rfc ?\d{3,4} compliant",
        r"not (?:rfc|compliant)",
        r"multiple (?:from|subject|to|date) ",
        r"duplicate header",
        r"(?:missing|no|invalid) (?:valid )?(?:from|date|message-id|subject) header",
        r"bare (?:lf|cr|newline)",
    ),
    entry(
        "authfailure",
        r"\bdmarc\b",
        r"\bspf\b",
        r"\bdkim\b",
        r"\bsender ?id\b",
        r"unauthenticated (?:e-?mail|message)",
        r"sender policy framework",
        r"not authenticated (?:by|with) ",
    ),
    entry(
        "virusdetected",
        r"\bvirus",
        r"\bmalware",
        r"infected",
        r"mcspamsignature",
        r"security polic(?:y|ies)",
    ),
    entry(
        "badreputation",
        r"reputation",
        r"(?:low|poor|bad) sender ?score",
        r"temporarily deferred due to",
        r"user complaints",
    ),
    entry(
        "spamdetected",
        r"(?:considered|identified|detected|classified|recognized|rejected|flagged|marked|looks"
        r"|appears|scored|seems)\b.{0,40}\b(?:spam|junk|unsolicited|bulk|ube)\b",
        r"\bspam\b.{0,30}(?:detected|score|content|message|reject|filter|suspect)",
        r"(?:is|as|like|be|contains?) (?:\w+ )?spam\b",
        r"spamassassin",
        r"unsolicited",
        r"junk ?mail",
        r"content (?:was )?(?:rejected|blocked)",
        r"message content",
        r"blacklisted url",
        r"bulk mail",
    ),
    entry(
        "blocked",
        r"\b(?:ip|host|server|client|sender|network|connection|domain|address|range)\S* (?:\S+ ){0,5}"
        r"(?:blocked|bloquee|blacklisted|block ?listed|banned|listed)\b",
        r"black ?list",
        r"block ?list",
        r"\b(?:rbl|dnsbl)\b",
        r"spamhaus",
        r"spamcop",
        r"barracuda",
        r"banned sending ip",
        r"\bblocked\b.{0,5}see",
        r"client host (?:rejected|blocked)",
        r"connection refused by policy",
        r"(?:bad helo|helo command rejected)",
        r"\((?:bl|xbl|sbl|pbl)\)",
        r"\b(?:sc|dy|ou)-00\d",
        r"service refused",
        r"connections? not accepted",
        r"go away",
        r"not accepting (?:connections|mail) from",
    ),
    entry(
        "norelaying",
        r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not (?:permitted|allowed)|prohibited|refused)",
        r"(?:unable|not permitted|cannot|do not) (?:to )?relay",
        r"address is not verified",
        r"no relay",
        r"not a gateway",
        r"open relay",
    ),
    entry(
        "rejected",
        r"sender (?:address |domain |e?-?mail )?(?:\S+ ){0,3}"
        r"(?:reject|refused|denied|not (?:allowed|accepted|exist|found|verified)"
        r"|does not exist|unknown|invalid)",
        r"domain of sender",
        r"purported responsible",
        r"sender verify failed",
        r"(?:invalid|unknown|bad|unroutable|unresolvable) (?:sender|return path|mail from)",
        r"mail from .{0,30}(?:refused|rejected|denied)",
        r"access denied",
        r"not allowed to (?:send|post)",
        r"permission to (?:post|send)",
        r"only (?:members|subscribers)",
        r"envelope sender",
    ),
    entry(
        "contenterror",
        r"headers? too (?:large|long|big)",
        r"(?:improper|invalid|bad) (?:mime|header|content|use of 8)",
        r"line (?:too|is too) long",
        r"too many (?:hops|received)",
        r"attachment",
        r"(?:mail|routing) loop",
    ),
    entry("policyviolation", r"\bpolicy\b", r"policies", r"prohibited", r"blocked because its content"),
    entry(
        "securityerror",
        r"authentication (?:required|failed|credentials|mechanism)",
        r"not authenticated",
        r"unauthenticated senders?",
        r"unauthorized",
    ),
    entry(
        "syntaxerror",
        r"syntax error",
        r"command parameter not implemented",
        r"command (?:not )?(?:unrecognized|recognized|implemented)",
        r"unrecognized command",
        r"bad sequence",
    ),
    # nobody: roads, queues, machines
    entry(
        "mesgtoobig",
        r"(?:message|mail|data|size|length) (?:\w+ ){0,4}"
        r"(?:too (?:big|large)|exceeds? (?:\w+ ){0,4}(?:size|limit|maximum))",
        r"message size",
        r"fixed maximum",
        r"file size limit",
    ),
    entry(
        "toomanyconn",
        r"too many (?:concurrent |simultaneous |open )?(?:\w+ )?(?:connections|sessions|recipients)",
        r"connection (?:limit|rate)",
        r"concurren",
    ),
    entry(
        "onhold",
        r"come back (?:later|in)",
        r"(?:retry|try) (?:again )?(?:later|in|after)",
        r"temporarily (?:deferred|rejected)",
    ),
    entry(
        "expired",
        r"queue\.?expired",
        r"message expired",
        r"delivery time (?:expired|exceeded)",
        r"timed? ?-?out",
        r"could not be delivered for",
        r"retry (?:time|timeout) (?:not reached|exceeded)",
        r"not been able to deliver",
        r"been in the queue",
        r"did not accept our requests to connect",
    ),
)
