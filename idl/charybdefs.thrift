// The charybdefs contract: the calls that existing clients make.
//
// The arguments carry NO field ids, on purpose: the Thrift compiler then numbers them
// -1, -2, -3 ... in order of declaration, and that is what every existing client sends.
// Giving them ids would change the bytes and break those clients.
// The compiler warns about it; generate.sh drops that warning.

namespace py server

service server {
    /** The names that faults can be set on, sorted. */
    list<string> get_methods(),

    /** Removes every fault. Operations held by one run at once and succeed. */
    void clear_all_faults(),

    /** Removes the fault of one method; an unknown name is ignored. */
    void clear_fault(string method),

    /** Replaces the fault of each named method; unknown names are ignored. */
    void set_fault(
        list<string> methods,
        bool random,        // a random errno, unless err_no is set
        i32 err_no,         // 0: none
        i32 probability,    // 0: always; negative: never; else out of 100000 (see docs/from-charybdefs.md)
        string regexp,      // matches the whole path of the backing file; "" matches all
        bool kill_caller,   // SIGKILL to the calling process
        i32 delay_us,       // microseconds before the operation
        bool auto_delay     // not implemented: delay_us is then ignored
    ),

    /** The same for every method. */
    void set_all_fault(
        bool random,
        i32 err_no,
        i32 probability,
        string regexp,
        bool kill_caller,
        i32 delay_us,
        bool auto_delay
    ),
}
