using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class ReRlAndDrift : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "DriftRuns",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Method = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    Versions = table.Column<int>(type: "INTEGER", nullable: false),
                    Prompts = table.Column<int>(type: "INTEGER", nullable: false),
                    ReportJson = table.Column<string>(type: "TEXT", nullable: false),
                    Seed = table.Column<long>(type: "INTEGER", nullable: false),
                    CreatedBy = table.Column<Guid>(type: "TEXT", nullable: true),
                    At = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_DriftRuns", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_DriftRuns_Projects_ProjectId",
                        column: x => x.ProjectId,
                        principalTable: "Projects",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "ReRlRuns",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    AuditJobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Method = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    KlBudgetNats = table.Column<double>(type: "REAL", nullable: false),
                    IsBudgetMeasured = table.Column<bool>(type: "INTEGER", nullable: false),
                    Steps = table.Column<int>(type: "INTEGER", nullable: false),
                    HasReachedBudget = table.Column<bool>(type: "INTEGER", nullable: false),
                    Prompts = table.Column<int>(type: "INTEGER", nullable: false),
                    AnswersPerPrompt = table.Column<int>(type: "INTEGER", nullable: false),
                    ScoredBy = table.Column<string>(type: "TEXT", maxLength: 200, nullable: true),
                    FiguresJson = table.Column<string>(type: "TEXT", nullable: false),
                    Seed = table.Column<long>(type: "INTEGER", nullable: false),
                    CreatedBy = table.Column<Guid>(type: "TEXT", nullable: true),
                    At = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ReRlRuns", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_ReRlRuns_PolicyAudits_AuditJobId",
                        column: x => x.AuditJobId,
                        principalTable: "PolicyAudits",
                        principalColumn: "JobId",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_DriftRuns_ProjectId_At",
                table: "DriftRuns",
                columns: new[] { "ProjectId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_ReRlRuns_AuditJobId_At",
                table: "ReRlRuns",
                columns: new[] { "AuditJobId", "At" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "DriftRuns");

            migrationBuilder.DropTable(
                name: "ReRlRuns");
        }
    }
}
