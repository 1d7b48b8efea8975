// The dialects that public forks of charybdefs speak, to capture frames from; not for use.

namespace py dialects

/** A server whose IDL numbers its arguments, positively. */
service positive {
    void clear_fault(1: string method),
    void set_fault(1: list<string> methods, 2: bool random, 3: i32 err_no, 4: i32 probability,
                   5: string regexp, 6: bool kill_caller, 7: i32 delay_us, 8: bool auto_delay),
    void set_all_fault(1: bool random, 2: i32 err_no, 3: i32 probability, 4: string regexp,
                       5: bool kill_caller, 6: i32 delay_us, 7: bool auto_delay),
}

struct FaultInfo {
    1: required bool random,
    2: required i16 err_no,
    3: required i32 probability,
    4: required string regexp,
    5: required bool kill_caller,
    6: required i32 delay_us,
    7: required bool auto_delay,
    8: required bool one_time,
}

/** The same with faults that fire once. */
service once {
    map<string, FaultInfo> get_faults(),
    void set_fault(1: list<string> methods, 2: bool random, 3: i32 err_no, 4: i32 probability,
                   5: string regexp, 6: bool kill_caller, 7: i32 delay_us, 8: bool auto_delay,
                   9: bool one_time),
    void set_all_fault(1: bool random, 2: i32 err_no, 3: i32 probability, 4: string regexp,
                       5: bool kill_caller, 6: i32 delay_us, 7: bool auto_delay, 8: bool one_time),
}

/** Unnumbered, with a list of errnos. */
service listed {
    void set_fault(list<string> methods, bool random, list<i32> err_no, i32 probability,
                   string regexp, bool kill_caller, i32 delay_us, bool auto_delay),
}

/** Before auto_delay came. */
service older {
    void set_all_fault(bool random, i32 err_no, i32 probability, string regexp,
                       bool kill_caller, i32 delay_us),
}
